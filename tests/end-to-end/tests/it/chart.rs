//! The chart: it renders what was reviewed, refuses values that are none, and what it hands to the programs is what they accept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use testkit::corpus::workspace_root;
use testkit::parts::{self, Tool};
use testkit::require;

use crate::{program, said};

pub(crate) const SERVICES: [&str; 5] =
    ["registry-scanner", "admission-gateway", "secret-broker", "runtime-sensor", "correlator"];

/// Everything that can be switched on, and nothing that chance makes.
const EVERYTHING: &str = "
clusterName: prod
image: { registry: registry.example, tag: 0.1.0, pullSecrets: [{ name: pull }] }
telemetry: { otlpEndpoint: 'http://collector.monitoring.svc:4317', sampleRatio: 1 }
metrics: { from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: monitoring } } }] }
responses: { enabled: true }
bus: { existingSecret: bus, tlsSecret: bus-tls }
nats: { readers: { enabled: true }, storage: { class: fast } }
registryScanner: { advisories: { source: 'registry.example/trivy-db:2' } }
admissionGateway: { failurePolicy: ignore, excludedNamespaces: [legacy], pullSecrets: [registry], keySecrets: [cosign], podPullSecrets: true, extraRules: [{ apiGroups: [''], resources: [services], verbs: [get] }] }
runtimeSensor: { rules: { own.yaml: '- rule: r' } }
correlator: { console: { expose: true, existingSecret: console }, rules: { own.yaml: 'kind: IncidentRule' } }
";

/// As small as a platform of one node may be.
const SMALL: &str = "
bus: { existingSecret: bus }
nats: { replicas: 1, storage: { persistent: false } }
registryScanner: { storage: { persistent: false } }
admissionGateway: { replicas: 1, backgroundScanSeconds: 0 }
secretBroker: { storage: { persistent: false } }
runtimeSensor: { enabled: false }
correlator: { storage: { persistent: false } }
networkPolicies: false
";

/// Helm in a folder of its own; `None`, loudly, where it is not installed.
pub(crate) fn helm(folder: &Path) -> Option<Command> {
    let program = match parts::find(Tool::Helm) {
        Ok(program) => program,
        Err(missing) => {
            require::skip("helm", &missing.to_string());
            return None;
        }
    };
    let mut command = Command::new(program);
    for (variable, name) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")] {
        command.env(variable, folder.join(name));
    }
    Some(command)
}

pub(crate) fn chart() -> PathBuf {
    workspace_root().join("helm/biotope")
}

fn run(folder: &Path, arguments: &[&str], values: &str) -> Option<Output> {
    let file = folder.join("values.yaml");
    fs::write(&file, values).unwrap();
    let [verb, rest @ ..] = arguments else { panic!("no arguments") };
    Some(helm(folder)?.arg(verb).args(rest).arg(chart()).arg("--values").arg(file).output().unwrap())
}

fn rendered(folder: &Path, values: &str) -> Option<String> {
    let output = run(folder, &["template", "biotope", "--namespace", "biotope"], values)?;
    assert!(output.status.success(), "{}", said(&output));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a switch of the tests, no configuration of the product")]
fn renders_what_was_reviewed() {
    let folder = tempfile::tempdir().unwrap();
    for (name, values) in [("default", "bus: { existingSecret: bus }"), ("everything", EVERYTHING), ("small", SMALL)] {
        let Some(lint) = run(folder.path(), &["lint", "--strict"], values) else { return };
        assert!(lint.status.success(), "{}", said(&lint));
        let Some(text) = rendered(folder.path(), values) else { return };
        let path = workspace_root().join(format!("helm/golden/{name}.yaml"));
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == text, "{} is stale: run `make chart` and review the change", path.display());
    }
}

#[test]
fn values_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (values, wanted) in [
        ("nats: { replicas: 2 }", "/nats/replicas"),
        ("clusterName: Not_A_Label", "/clusterName"),
        ("admissionGatway: { replicas: 2 }", "admissionGatway"),
        ("bus: { servers: ['http://nats:4222'] }", "/bus/servers"),
        ("admissionGateway: { failurePolicy: maybe }", "/admissionGateway/failurePolicy"),
    ] {
        let Some(output) = run(folder.path(), &["template", "biotope"], values) else { return };
        let text = said(&output);
        assert!(!output.status.success() && text.contains(wanted), "{values}: {text}");
    }
}

/// Each object of a rendered chart.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    let read = |document: &str| {
        serde_saphyr::from_str::<Value>(document).unwrap_or_else(|error| panic!("{error}:\n{document}"))
    };
    text.split("\n---\n").map(read).filter(Value::is_object).collect()
}

fn data(objects: &[Value], name: &str, key: &str) -> String {
    let is_it = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == name;
    objects.iter().find(is_it).unwrap()["data"][key].as_str().unwrap().to_owned()
}

#[test]
fn programs_accept_what_they_are_handed() {
    let folder = tempfile::tempdir().unwrap();
    for values in ["bus: { existingSecret: bus }", EVERYTHING] {
        let Some(text) = rendered(folder.path(), values) else { return };
        let objects = objects(&text);
        let root = folder.path().display().to_string();
        for place in ["lib/policies", "etc/rules"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        for service in SERVICES {
            let config = data(&objects, &format!("biotope-{service}"), "config.yaml");
            check(service, folder.path(), &inside(&config, &root));
        }
        check_nats(&objects, folder.path());
    }
}

/// Paths of a pod as paths below a folder of the test.
fn inside(config: &str, root: &str) -> String {
    config.replace("/var/lib/biotope", &format!("{root}/lib")).replace("/etc/biotope", &format!("{root}/etc"))
}

fn check(service: &str, folder: &Path, config: &str) {
    let path = folder.join("config.yaml");
    fs::write(&path, config).unwrap();
    let Some(program) = program(service) else { return };
    let output = Command::new(program).arg("--config").arg(path).arg("--check-config").output().unwrap();
    assert!(output.status.success(), "{service}: {}\n{config}", said(&output));
}

/// The server itself reads its configuration, with the permissions of all users.
fn check_nats(objects: &[Value], folder: &Path) {
    let Ok(server) = parts::find(Tool::NatsServer) else {
        return require::skip("nats", "nats-server is not installed");
    };
    let tls = folder.join("tls");
    fs::create_dir_all(&tls).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["nats".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(tls.join("tls.key"), key.serialize_pem()).unwrap();
    for name in ["tls.crt", "ca.crt"] {
        fs::write(tls.join(name), certificate.pem()).unwrap();
    }
    for name in ["permissions.conf", "nats.conf"] {
        let text = data(objects, "biotope-nats", name).replace("/etc/nats/tls", &tls.display().to_string());
        fs::write(folder.join(name), text).unwrap();
    }
    let mut command = Command::new(server);
    command.arg("-t").arg("-c").arg(folder.join("nats.conf")).env("POD_NAME", "nats-0");
    for user in SERVICES.into_iter().chain(["reader"]) {
        command.env(format!("{}_PASSWORD", user.to_uppercase().replace('-', "_")), "p123456");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn compose_hands_out_what_programs_accept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    for place in ["policies", "manifests", "secrets", "targets"] {
        fs::create_dir_all(folder.path().join(place)).unwrap();
    }
    let compose = workspace_root().join("compose");
    let text = fs::read_to_string(compose.join("compose.yaml")).unwrap();
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    for service in SERVICES {
        assert_eq!(file["services"][service]["command"][1], "/etc/biotope/config.yaml", "{service}");
        let config = fs::read_to_string(compose.join(format!("config/{service}.yaml"))).unwrap();
        let mut config = inside(&config, &root);
        for place in ["policies", "manifests", "secrets", "targets"] {
            config = config.replace(&format!(": /{place}\n"), &format!(": {root}/{place}\n"));
        }
        check(service, folder.path(), &config);
    }
}
