//! Judgement of the PushSecret controller by External Secrets' own cases.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Timestamp;
use secret_sync::api::PushSecretSpec;
use secret_sync::provider::ProviderError;
use secret_sync::reconcile::push::{PushStatus, reconcile};
use secret_sync::reconcile::{Again, Head, Policy, World};
use serde_json::{Value, json};
use testkit::corpus::Corpus;

use crate::controllers::quoted;
use crate::providers::bytes;
use crate::world::{Cluster, Engine, NAMESPACE, Provider, keys, text, transform};

/// A PushSecret in its cluster.
struct Push {
    cluster: Cluster,
    provider: Provider,
    head: Head,
    spec: PushSecretSpec,
    status: PushStatus,
    now: Timestamp,
    again: Again,
}

const STORE: &str = "test-store";

impl Push {
    fn new(line: &Value) -> Self {
        let mut cluster = Cluster::default();
        for (name, store) in line.as_object().into_iter().flatten() {
            if name.starts_with("managedStore") || name.starts_with("unmanagedStore") {
                cluster.add_store(store);
            }
        }
        let default = json!({ "kind": "SecretStore", "metadata": { "name": STORE }, "spec": { "provider": { "fake": { "data": [] } } } });
        cluster.add_store(line.get("store").unwrap_or(&default));
        if line["funcs"].to_string().contains("StoreRef") {
            let mut second = default;
            second["metadata"]["name"] = json!("second-store");
            cluster.add_store(&second);
        }
        let is_elsewhere = line["funcs"].to_string().contains("DifferentNamespace");
        if line["secret"].is_object() && !is_elsewhere {
            cluster.add_secret(&line["secret"], "somebody");
        }
        let mut spec = line["pushsecret"]["spec"].clone();
        // The table's own default is the store that has no number; the cases stand with the name of the first that has one.
        let refs = spec["secretStoreRefs"].as_array().cloned().unwrap_or_default();
        if refs.len() == 1 && refs[0]["name"] == "test-managed-store-1" {
            spec["secretStoreRefs"][0]["name"] = json!(STORE);
        }
        let mut provider = Provider::default();
        for call in line["provider"].as_array().into_iter().flatten() {
            let code = text(&call["args"][0], "$func").to_owned();
            let error = || code.contains("errors.New").then(|| ProviderError::Failed(quoted(&code)));
            match text(call, "$call").rsplit('.').next().unwrap_or_default() {
                "WithSetSecretFn" => provider.set = error(),
                "WithDeleteSecretFn" => provider.delete = error(),
                "WithSecretExistsFn" => provider.knows_existing = true,
                "WithNew" => provider.open = error(),
                other => panic!("unknown test double {other}"),
            }
        }
        provider.generators.insert("test".to_owned(), keys(&json!({ "key": "foo-bar-from-generator" })));
        let name = text(&line["pushsecret"]["metadata"], "name").to_owned();
        let head = Head { namespace: NAMESPACE.to_owned(), name, generation: 1, ..Head::default() };
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let spec = serde_json::from_value(spec).unwrap();
        Self { cluster, provider, head, spec, status: PushStatus::default(), now, again: Again::OnChange }
    }

    fn look(&mut self) {
        let mut world = World { objects: &self.cluster, stores: &mut self.provider, templates: &Engine, transform };
        let outcome =
            reconcile((&self.head, &self.spec, &self.status), &mut world, &Policy::default(), self.now).unwrap();
        (self.status, self.again) = (outcome.status, outcome.again);
    }

    fn pass(&mut self) {
        for _ in 0..5 {
            self.look();
            let wait = if let Again::After(wait) = self.again {
                wait.min(Duration::from_secs(2))
            } else {
                Duration::from_secs(1)
            };
            self.now = self.now.plus(wait);
        }
    }

    fn changed(&mut self) {
        self.head.generation += 1;
        self.pass();
    }

    fn known(&self, store: &str) -> BTreeSet<&str> {
        let key = format!("SecretStore/{store}");
        self.status.synced.get(&key).into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    fn pushed(&self) -> Value {
        let text = |value: &secret_sync::SecretBytes| String::from_utf8_lossy(value.expose()).into_owned();
        json!(
            self.provider
                .pushed
                .iter()
                .map(|(key, value)| (key.clone(), text(value)))
                .collect::<std::collections::BTreeMap<_, _>>()
        )
    }
}

fn field(code: &str, name: &str) -> Option<String> {
    let rest = code.split(&format!("{name}:")).nth(1)?;
    Some(rest.trim_start().split('\n').next()?.trim_end().trim_end_matches(',').to_owned())
}

/// A text in Go's quotation marks.
fn unquoted(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())
}

/// The condition that upstream's code asks for.
fn condition(code: &str, push: &Push) -> Option<String> {
    let ready = push.status.conditions.iter().find(|condition| condition.kind == "Ready");
    if code.contains("len(ps.Status.Conditions) == 0") {
        return ready.map(|ready| format!("{ready:?}"));
    }
    let is_false = code.contains("v1.ConditionFalse");
    if !is_false && !code.contains("v1.ConditionTrue") {
        return None;
    }
    let Some(ready) = ready else { return Some("no condition".to_owned()) };
    let message = field(code, "Message").map(|message| unquoted(&message));
    let reason = if code.contains("ReasonErrored") { "Errored" } else { "Synced" };
    let is_good =
        ready.holds != is_false && ready.reason == reason && message.is_none_or(|message| ready.message == message);
    (!is_good).then(|| format!("{ready:?}"))
}

/// What a case does after the first sync, and what then has to be: by the function of the table that made it.
fn judged(func: &str, code: &str, push: &mut Push, line: &Value) -> Vec<String> {
    let mut wrong: Vec<String> = condition(code, push).into_iter().collect();
    let mut want = |is: bool, what: &str| {
        if !is {
            wrong.push(what.to_owned());
        }
    };
    let secret = |key: &str| String::from_utf8_lossy(bytes(&line["secret"]["data"][key]).expose()).into_owned();
    match func {
        "updateIfNotExists" => {
            push.cluster.secrets.get_mut("test-secret").unwrap().data = keys(&json!({ "key": "new-value" }));
            push.now = push.now.plus(Duration::from_secs(7_200));
            push.pass();
            want(push.pushed() == json!({ "path/to/key": "value" }), "the value is replaced");
        }
        "updateIfNotExistsSyncStatus" => {
            want(push.known(STORE) == BTreeSet::from(["path/to/key", "path/to/other-key"]), "status");
        }
        "syncAndDeleteWithProperties" => {
            want(push.known(STORE).len() == 2, "both properties are not known");
            push.spec.data.as_mut().unwrap().truncate(1);
            push.changed();
            want(push.known(STORE) == BTreeSet::from(["path/to/key/field1"]), "field2 is still known");
        }
        "deleteProviderSecretsOnSourceSecretDeleted" => {
            push.cluster.secrets.clear();
            push.pass();
            want(push.provider.deleted > 0 && push.known(STORE).is_empty(), "not removed");
        }
        "failDelete" => {
            let entry = &mut push.spec.data.as_mut().unwrap()[0];
            entry.matched.as_mut().unwrap().remote_ref.as_mut().unwrap().remote_key =
                Some("path/to/new-key".to_owned());
            push.changed();
            want(push.known(STORE) == BTreeSet::from(["path/to/key", "path/to/new-key"]), "not both are known");
        }
        "failDeleteStore" | "deleteWholeStore" => {
            push.cluster.add_store(&json!({ "metadata": { "name": "new-store" }, "spec": {} }));
            push.spec.secret_store_refs.as_mut().unwrap()[0].name = Some("new-store".to_owned());
            push.changed();
            let is_one = func == "deleteWholeStore";
            want(push.known("new-store") == BTreeSet::from(["path/to/key"]), "not in the new store");
            want(push.status.synced.len() == if is_one { 1 } else { 2 }, "stores");
        }
        "syncWithDataToStoreRef" => {
            want(push.known(STORE) == BTreeSet::from(["app-name", "db-host"]), "first store");
            want(push.known("second-store") == BTreeSet::from(["api-key", "app-name"]), "second store");
        }
        "secretDifferentNamespace" => want(push.pushed() == json!({}), "pushed"),
        _ => {}
    }
    if code.contains("bytes.Equal(got, secretValue)") || code.contains("bytes.Equal(secretValue, providerValue)") {
        want(push.pushed() == json!({ "path/to/key": secret("key") }), "the value is not there");
    }
    for quoted in regex::Regex::new(r#"bytes\.Equal\((?:got, )?\[\]byte\("([^"]+)"\)"#).unwrap().captures_iter(code) {
        want(push.pushed() == json!({ "path/to/key": quoted[1] }), "another value");
    }
    wrong.extend(counted(code, push, line));
    wrong
}

/// How many entries upstream counts in the store, which it names, and what stands in a bundle.
fn counted(code: &str, push: &Push, line: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let pushed = push.pushed();
    let size = pushed.as_object().map_or(0, serde_json::Map::len);
    let count = regex::Regex::new(r"len\(setSecretArgs\) (!=|==) (\d+)").unwrap();
    if count.captures(code).is_some_and(|found| found[2].parse::<usize>().unwrap() != size) {
        wrong.push(format!("{size} entries"));
    }
    // A name that is read with a negation has to be missing.
    for found in regex::Regex::new(r#"_, (\w+) :=? ?setSecretArgs\["([^"]+)"\]"#).unwrap().captures_iter(code) {
        let is_missing = code.contains(&format!("!{}", &found[1]));
        if pushed.get(&found[2]).is_some() == is_missing {
            wrong.push(format!("{} in {pushed}", &found[2]));
        }
    }
    for found in regex::Regex::new(r#"bundled, ok := setSecretArgs\["([^"]+)"\]"#).unwrap().captures_iter(code) {
        let bundle: Value = serde_json::from_str(text(&pushed, &found[1])).unwrap_or_default();
        let is_db = code.contains("hasApp") || code.contains("hasAPIKey");
        let all = line["secret"]["data"].as_object().cloned().unwrap_or_default();
        let wanted: Value = all
            .into_iter()
            .filter(|(key, _)| !is_db || key.starts_with("DB_"))
            .collect::<serde_json::Map<_, _>>()
            .into();
        if bundle != wanted {
            wrong.push(format!("bundle {bundle}"));
        }
    }
    if code.contains("range secret.Data") && pushed != line["secret"]["data"] {
        wrong.push(format!("not all: {pushed}"));
    }
    wrong
}

#[test]
fn corpus_eso_ps_controller() {
    let Some(mut corpus) = Corpus::open("eso-ps_controller", "eso/ps_controller.jsonl") else { return };
    for line in corpus.lines("") {
        let func = line["funcs"][0].as_str().unwrap_or_default().to_owned();
        let checks = &line["checks"]["assert"];
        let parts = checks["expect"].as_array().into_iter().flatten().map(|step| text(step, "subject"));
        let code = parts.fold(text(checks, "go").to_owned(), |code, part| format!("{code}\n{part}"));
        let mut push = Push::new(&line);
        push.look();
        let wrong = judged(&func, &code, &mut push, &line);
        corpus.compare(text(&line, "id"), json!([]), json!(wrong));
    }
    corpus.finish(include_str!("../corpus/eso-ps_controller.exceptions"));
}
