//! How long does it take to render what manifests typically hold?
//!
//! Typical is what public manifests use most: a registry login with `b64enc` and `printf`, an `.env` file with a range and a condition,
//! a connection string. Parsing is measured apart, since every sync does both.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secret_templating::{Environment, Limits, Template, Text, Value};

const CASES: [(&str, &str); 3] = [
    (
        "connection_string",
        "postgresql://{{ .username | urlquery }}:{{ .password | urlquery }}@{{ .host }}:{{ .port }}/{{ .database | default \"app\" }}?sslmode=require",
    ),
    (
        "docker_config",
        "{\"auths\":{\"{{ .registry }}\":{\"username\":\"{{ .username }}\",\"password\":{{ .password | toJson }},\"auth\":\"{{ printf \"%s:%s\" .username .password | b64enc }}\"}}}",
    ),
    (
        "env_file",
        "{{- range $key, $value := . }}\n{{ $key | upper | replace \"-\" \"_\" }}={{ $value | trim | quote }}\n{{- end }}\n{{- if contains \"prod\" .host }}\nMODE=production\n{{- else }}\nMODE=test\n{{- end }}\n",
    ),
];

fn data() -> Value {
    let pairs = [
        ("username", "app-user"),
        ("password", "s3cr3t/with+signs"),
        ("host", "db.prod.example.com"),
        ("port", "5432"),
        ("database", "orders"),
        ("registry", "registry.example.com"),
    ];
    Value::strings(pairs.map(|(key, value)| (key.to_owned(), Text::new(value.as_bytes().to_vec()))))
}

fn render(criterion: &mut Criterion) {
    let (data, environment) = (data(), Environment { now_unix_ns: Some(0), entropy: Some([7; 32]) });
    let mut group = criterion.benchmark_group("render_a_typical_template");
    group.throughput(Throughput::Elements(1));
    for (name, text) in CASES {
        let template = Template::parse(name, text).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| template.render_in(&data, &environment, Limits::default()).unwrap());
        });
        group.bench_function(format!("parse_and_render_{name}"), |bencher| {
            bencher.iter(|| {
                Template::parse(name, text).unwrap().render_in(&data, &environment, Limits::default()).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, render);
criterion_main!(benches);
