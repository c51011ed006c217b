//! How much memory hostile input takes at most: each case runs in a process of its own, which reads its peak from the kernel.

use std::process::Command;

use admission_policy::{PolicySet, Request, Snapshot, Status};
use serde_json::{Value, json};

const CASE: &str = "BIOTOPE_TEST_MEMORY_CASE";

/// Each case and the mebibytes that its process may hold at its peak, the test program itself included (about 10).
const CASES: [(&str, u64); 7] = [
    // A document of 3.6 KiB that stands for 10^12 nodes.
    ("yaml_bomb", 64),
    // One text of 1 MB that a thousand aliases repeat, and a key of as much above many others.
    ("yaml_texts", 64),
    // 100,000 nested lists: 200 KiB.
    ("yaml_depth", 48),
    // An object of 3 MB, changed by one policy and judged by two.
    ("large_object", 96),
    // 7 nested loops over ten elements each.
    ("cel_loops", 48),
    // A list of a million numbers under `all`, `map` and `filter`: 7 MB of JSON, 72 MB as values.
    ("cel_million", 300),
    // Text that doubles with each step.
    ("text_growth", 96),
];

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}})
}

fn rule(body: &str) -> String {
    format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  rules:\n  - name: r\n    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n    {body}\n"
    )
}

fn in_cel(expression: &str) -> String {
    format!(
        "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {{name: p}}\nspec:\n  matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]}}\n  validations: [{{expression: \"{expression}\"}}]\n"
    )
}

fn statuses(policies: &[String], object: Value) -> Vec<Status> {
    let (set, faults) = PolicySet::load(policies.iter().map(|text| ("p.yaml", text)));
    assert_eq!(set.len(), policies.len(), "{faults:?}");
    let outcome = set.evaluate(&Request::create(object), &Snapshot::default());
    outcome.verdicts.iter().map(|verdict| verdict.status).collect()
}

fn run(case: &str) {
    match case {
        "yaml_bomb" => {
            let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
            for level in 1..12 {
                let list = vec![format!("*a{}", level - 1); 10].join(", ");
                bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
            }
            assert_eq!(PolicySet::load([("bomb.yaml", &bomb)]).1.len(), 1);
        }
        "yaml_texts" => {
            let text = "x".repeat(1_000_000);
            let repeated = format!("a: &a {text}\nb: [{}]\n", vec!["*a"; 1_000].join(", "));
            assert_eq!(PolicySet::load([("texts.yaml", &repeated)]).1.len(), 1);
            let keys: String = (0..10_000).map(|at| format!("  k{at}: 1\n")).collect();
            let (set, _) = PolicySet::load([("keys.yaml", format!("? {text}\n:\n{keys}"))]);
            assert!(set.is_empty());
        }
        "yaml_depth" => {
            let deep = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
            assert_eq!(PolicySet::load([("deep.yaml", &deep)]).1.len(), 1);
        }
        "large_object" => {
            let mut object = pod();
            object["metadata"]["annotations"] =
                (0..30_000).map(|at| (format!("k{at}"), Value::from("x".repeat(90)))).collect();
            let policies = [
                rule("mutate: {patchStrategicMerge: {metadata: {labels: {seen: 'yes'}}}}"),
                rule("validate: {pattern: {metadata: {annotations: {'k*': 'x*'}}}}"),
                rule(
                    "validate: {deny: {conditions: {all: [{key: \"{{ length(request.object.metadata.annotations.values(@)) }}\", operator: Equals, value: 1}]}}}",
                ),
            ];
            assert_eq!(statuses(&policies, object), [Status::Pass; 3]);
        }
        "cel_loops" => {
            let list = "[0,1,2,3,4,5,6,7,8,9]";
            let loops: String = ["a", "b", "c", "d", "e", "f", "g"].map(|name| format!("{list}.all({name}, ")).concat();
            assert_eq!(statuses(&[in_cel(&format!("{loops}a + g >= 0){}", ")".repeat(6)))], pod()), [Status::Error]);
        }
        "cel_million" => {
            let mut object = pod();
            object["spec"]["numbers"] = (0..1_000_000).map(Value::from).collect();
            let numbers = "object.spec.numbers";
            for expression in ["all(n, n >= 0)", "map(n, n * 2).size() > 0", "filter(n, n > 1).size() > 0"] {
                assert_eq!(statuses(&[in_cel(&format!("{numbers}.{expression}"))], object.clone()), [Status::Error]);
            }
            assert_eq!(statuses(&[in_cel(&format!("{numbers}.size() == 1000000"))], object), [Status::Pass]);
        }
        "text_growth" => {
            let doubled = (0..40).fold("'xxxxxxxx'".to_owned(), |text, _| format!("{text} | join('', [@, @])"));
            let body = format!(
                "validate: {{deny: {{conditions: {{all: [{{key: \"{{{{ {doubled} }}}}\", operator: Equals, value: x}}]}}}}}}"
            );
            assert_eq!(statuses(&[rule(&body)], pod()), [Status::Error]);
        }
        other => panic!("unknown case {other}"),
    }
}

#[test]
#[ignore = "the process of one case, started by the test below"]
#[expect(clippy::disallowed_methods, reason = "the test below names the case, no setting")]
fn one_case() {
    let case = std::env::var(CASE).expect("the case is named");
    run(&case);
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel tells");
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak"));
}

#[test]
fn hostile_input_stays_within_its_memory() {
    for (case, bound) in CASES {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["memory::one_case", "--exact", "--ignored", "--nocapture"]).env(CASE, case);
        let output = command.output().expect("the program runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{case}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let peak = text.lines().find_map(|line| line.split_once("VmHWM:")).expect("a peak").1;
        let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
        println!("{case}: {} MiB at the peak, at most {bound} allowed", kibibytes / 1024);
        assert!(kibibytes / 1024 <= bound, "{case}: {} MiB", kibibytes / 1024);
    }
}
