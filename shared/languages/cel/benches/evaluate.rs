//! How long one evaluation takes.
#![allow(clippy::unwrap_used, reason = "a benchmark stops on a broken expression")]

use cel::{Limits, Program, Val, Variables};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

fn evaluate(criterion: &mut Criterion) {
    let containers: Vec<_> = (0..4).map(|n| json!({"name": format!("c{n}"), "image": format!("nginx:{n}")})).collect();
    let pod = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}});
    for (name, text) in [
        ("has", "has(object.metadata.labels) && object.metadata.labels.app != ''"),
        ("all", "object.spec.containers.all(c, !c.image.endsWith(':latest'))"),
        (
            "optional",
            "object.spec.?initContainers.orValue([]).all(c, c.?securityContext.?privileged.orValue(false) == false)",
        ),
    ] {
        let program = Program::compile(text).unwrap();
        criterion.bench_function(&format!("evaluate_{name}"), |bencher| {
            bencher.iter(|| {
                let host = Variables::new().with("object", Val::from_json(&pod));
                program.evaluate(&host, Limits::default()).unwrap().as_bool()
            });
        });
    }
}

criterion_group!(benches, evaluate);
criterion_main!(benches);
