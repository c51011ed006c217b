//! What a review costs: the Pod Security Standards on a Deployment, and a whole policy library.
//!
//! Policies are read from `BIOTOPE_CORPORA` (default `../shared/corpora` from the workspace root); without it only the built-in
//! set is measured.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "positions in a list of times"
)]
#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "a bench stops on what it cannot measure")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use admission_policy::{PolicySet, Request, Snapshot};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn corpora() -> PathBuf {
    let given = std::env::var("BIOTOPE_CORPORA").ok().filter(|folder| !folder.is_empty());
    given.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/corpora"), PathBuf::from)
}

fn yaml_files(folder: &Path, out: &mut Vec<(String, String)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            yaml_files(&path, out);
        } else if path.extension().is_some_and(|end| end == "yaml")
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            out.push((path.display().to_string(), text));
        }
    }
}

fn is_v1(text: &str) -> bool {
    text.contains("apiVersion: kyverno.io/v") && !text.contains("\n      cel:")
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "cfg", "configMap": {"name": "cfg"}}],
                "containers": [
                    {"name": "web", "image": "registry.example/web:1.2.3", "ports": [{"containerPort": 8080}],
                        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}},
                    {"name": "proxy", "image": "registry.example/proxy:2.0.0",
                        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}}})
}

fn review() -> Request {
    let review = json!({"request": {"uid": "u", "operation": "CREATE", "namespace": "shop", "name": "web",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "userInfo": {"username": "jane"}, "object": deployment()}});
    Request::from_review(&review).expect("the review is complete")
}

/// Every resource of the library's tests as a review.
fn reviews(root: &Path) -> Vec<Request> {
    let mut folders = vec![root.to_owned()];
    let mut out = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_test = path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".kyverno"));
            if path.is_dir() {
                folders.push(path);
            } else if is_test && let Ok(text) = std::fs::read_to_string(&path) {
                let documents = admission_policy::yaml::documents(&text).into_iter().flatten();
                let objects = documents.filter(|document| document.value.pointer("/metadata/name").is_some());
                out.extend(objects.map(|document| Request::create(document.value)));
            }
        }
    }
    out
}

/// CPU time of this thread: what other programs do in between does not count.
fn thread_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Rounds over all reviews.
const ROUNDS: usize = 20;

/// Prints how long single reviews take: criterion knows means only. Of each review the fastest of some rounds counts, as the
/// caches of a busy machine are not the engine's; the time that passed, with everything else that ran, is printed too.
#[expect(clippy::print_stdout, reason = "figures are what a bench is for")]
fn spread(set: &PolicySet, reviews: &[Request], snapshot: &Snapshot) {
    let mut best = vec![Duration::MAX; reviews.len()];
    let (mut every, mut passed, mut verdicts) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        for (review, best) in reviews.iter().zip(&mut best) {
            let (start, at) = (thread_time(), Instant::now());
            verdicts += set.evaluate(review, snapshot).verdicts.len();
            let took = thread_time().saturating_sub(start);
            passed.push(at.elapsed());
            every.push(took);
            *best = (*best).min(took);
        }
    }
    let (count, policies) = (reviews.len(), set.len());
    println!("{count} reviews by {policies} policies, {} verdicts per review:", verdicts / passed.len().max(1));
    let slowest = reviews.iter().zip(&best).max_by_key(|(_, took)| **took);
    for (what, mut times) in
        [("best of each, CPU", best.clone()), ("every one, CPU", every), ("every one, passed", passed)]
    {
        times.sort_unstable();
        let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
        println!(
            "  {what}: median {:?}, p99 {:?}, p99.9 {:?}, worst {:?}",
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.999_999)
        );
    }
    if let Some((review, took)) = slowest {
        println!("  slowest: {} {} with {took:?}", review.kind.kind, review.name);
    }
}

/// Prints what one loaded policy holds in memory: the growth of the process over many loaded sets.
#[expect(clippy::print_stdout, reason = "figures are what a bench is for")]
fn memory(files: &[(String, String)]) {
    const SETS: usize = 20;
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4096
    };
    let load = || PolicySet::load(files.iter().map(|(file, text)| (file, text))).0;
    let (_first, before) = (load(), resident());
    let sets: Vec<PolicySet> = (0..SETS).map(|_| load()).collect();
    let policies: usize = sets.iter().map(PolicySet::len).sum();
    println!("memory per loaded policy: {} bytes", resident().saturating_sub(before) / policies.max(1));
}

/// Prints the fastest of some loads in CPU time.
#[expect(clippy::print_stdout, reason = "figures are what a bench is for")]
fn loading(files: &[(String, String)]) {
    let load = |_| {
        let start = thread_time();
        let set = PolicySet::load(files.iter().map(|(file, text)| (file, text)));
        let took = thread_time().saturating_sub(start);
        drop(set);
        took
    };
    let fastest = (0..10).map(load).min().unwrap_or_default();
    println!("loading {} files: {fastest:?} of CPU", files.len());
}

fn bench(criterion: &mut Criterion) {
    let snapshot = Snapshot { biotope: json!({"images": {}, "incidents": {}, "secrets": {}}), ..Snapshot::default() };
    let root = corpora().join("kyverno-policies");
    let mut standards = Vec::new();
    yaml_files(&root.join("pod-security"), &mut standards);
    standards.retain(|(path, text)| is_v1(text) && !path.contains("/subrule/"));
    if !standards.is_empty() {
        let (set, _) = PolicySet::load(standards);
        let request = review();
        spread(&set, std::slice::from_ref(&request), &snapshot);
        criterion.bench_function(&format!("evaluate_{}_pod_security_policies_on_a_deployment", set.len()), |bencher| {
            bencher.iter(|| set.evaluate(&request, &snapshot));
        });
    }
    let mut library = Vec::new();
    yaml_files(&root, &mut library);
    library.retain(|(_, text)| is_v1(text));
    if !library.is_empty() {
        criterion.bench_function(&format!("load_{}_policy_files", library.len()), |bencher| {
            bencher.iter(|| PolicySet::load(library.iter().map(|(file, text)| (file, text))));
        });
        loading(&library);
        memory(&library);
        let (set, _) = PolicySet::load(library);
        spread(&set, &reviews(&root), &snapshot);
        let request = review();
        criterion.bench_function(&format!("evaluate_{}_policies_on_a_deployment", set.len()), |bencher| {
            bencher.iter(|| set.evaluate(&request, &snapshot));
        });
    }
    criterion.bench_function("read_a_review", |bencher| bencher.iter(review));
}

criterion_group!(benches, bench);
criterion_main!(benches);
