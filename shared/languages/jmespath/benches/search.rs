//! How long one search takes.
#![allow(clippy::unwrap_used, reason = "a benchmark stops on a broken expression")]

use criterion::{Criterion, criterion_group, criterion_main};
use jmespath::{Context, compile};
use model::Timestamp;
use serde_json::json;

fn search(criterion: &mut Criterion) {
    let containers: Vec<_> = (0..4)
        .map(|n| json!({"name": format!("c{n}"), "image": format!("nginx:{n}"), "ports": [{"containerPort": 80 + n}]}))
        .collect();
    let input =
        json!({"request": {"object": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}}});
    let context = Context::new(Timestamp::from_millis(0));
    for (name, text) in [
        ("path", "request.object.metadata.labels.app"),
        ("projection", "request.object.spec.containers[].image"),
        ("filter", "request.object.spec.containers[?contains(image, ':2')].name | length(@)"),
    ] {
        let expression = compile(text).unwrap();
        criterion
            .bench_function(&format!("search_{name}"), |bencher| bencher.iter(|| expression.search(&input, &context)));
    }
}

criterion_group!(benches, search);
criterion_main!(benches);
