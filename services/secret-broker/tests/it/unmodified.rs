//! What External Secrets' users have in their manifests, at a real API server: templates of labels, stores whose login is of the namespace
//! that uses them, stores for some namespaces, stores of another controller; and what is said of stores.

use testkit::parts::wait_until;

use crate::cluster_world::{LIMIT, World, encoded, external};

const PASSWORD: &str = "{.data.password}";

#[test]
fn templates_make_labels_and_annotations_that_follow_the_vault() {
    let Some(world) = World::start() else { return };
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one", "team=blue"]).unwrap();
    let manifest = "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: { name: db, labels: { own: 'yes' } }
spec:
  secretStoreRef: { name: bao }
  target:
    template:
      type: kubernetes.io/basic-auth
      metadata:
        labels: { team: '{{ .team }}' }
        annotations: { note: 'team {{ .team | upper }}' }
      data: { password: '{{ .password }}', username: app }
      templateFrom:
      - target: Labels
        literal: 'from-literal: \"{{ .team }}\"'
  dataFrom: [{ extract: { key: db } }]
";
    world.server.apply(manifest).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-one"));
    world.until("secret", "db", "{.metadata.labels.team}", "blue");
    world.until("secret", "db", "{.metadata.labels.from-literal}", "blue");
    world.until("secret", "db", "{.metadata.annotations.note}", "team BLUE");
    world.until("secret", "db", "{.type}", "kubernetes.io/basic-auth");
    // With a template, what the manifest itself bears does not go on the Secret.
    world.until("secret", "db", "{.metadata.labels.own}", "");
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one", "team=red"]).unwrap();
    world.until("secret", "db", "{.metadata.labels.team}", "red");

    // Without one it does, and follows as well.
    world.server.apply(&external("plain", "{}")).unwrap();
    world.bao.command(&["kv", "put", "secret/plain", "password=canary-two"]).unwrap();
    world.until("secret", "plain", "{.metadata.labels.team}", "shop");
    world.server.kubectl(&["label", "externalsecret", "plain", "--overwrite", "team=yard"]).unwrap();
    world.until("secret", "plain", "{.metadata.labels.team}", "yard");
}

/// A store of the cluster with more settings; its token is of the namespace that uses it where `place` names none.
fn store(world: &World, name: &str, place: &str, more: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {{ name: {name} }}\nspec:\n{more}  provider:\n    vault:\n      server: '{}'\n      path: secret\n      auth: {{ tokenSecretRef: {{ name: bao-token, key: token{place} }} }}\n",
        world.bao.address
    )
}

fn by_cluster_store(name: &str, store: &str) -> String {
    external("db", "{}")
        .replace("metadata: { name: db,", &format!("metadata: {{ name: {name},"))
        .replace("name: bao, kind: SecretStore", &format!("name: {store}, kind: ClusterSecretStore"))
}

#[test]
fn stores_are_of_namespaces_labels_and_controllers() {
    let Some(world) = World::start() else { return };
    let apply = |text: &str| world.server.apply(text).unwrap();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    world.server.kubectl(&["label", "namespace", "default", "env=test"]).unwrap();
    let fixed = ", namespace: default";
    let selector =
        |env: &str| format!("  conditions: [{{ namespaceSelector: {{ matchLabels: {{ env: {env} }} }} }}]\n");
    for text in [
        store(&world, "referent", "", ""),
        store(&world, "chosen", fixed, &selector("test")),
        store(&world, "closed", fixed, &selector("live")),
        store(&world, "foreign", fixed, "  controller: somebody\n"),
    ] {
        apply(&text);
    }
    for name in ["referent", "chosen", "closed", "foreign"] {
        apply(&by_cluster_store(name, name));
    }
    for name in ["referent", "chosen"] {
        world.until("secret", name, PASSWORD, &encoded("canary-one"));
        world.until_ready(name);
    }
    world.until_failed("closed", "denied by spec.condition");
    // Somebody else looks after it: nothing is said and nothing is made.
    let said = world.server.kubectl(&["get", "externalsecret", "foreign", "-o", "jsonpath={.status}"]).unwrap();
    assert_eq!(said, "");
    assert!(world.secret("foreign", PASSWORD).is_none() && world.secret("closed", PASSWORD).is_none());
    let said = world.server.kubectl(&["get", "clustersecretstore", "foreign", "-o", "jsonpath={.status}"]).unwrap();
    assert_eq!(said, "");
    world.until("clustersecretstore", "referent", READY, "True Valid store validated");
}

const READY: &str = "{.status.conditions[0].status} {.status.conditions[0].reason} {.status.conditions[0].message}";

#[test]
fn stores_say_whether_they_can_be_used() {
    let Some(world) = World::start() else { return };
    world.until("secretstore", "bao", READY, "True Valid store validated");
    world.until("secretstore", "bao", "{.status.capabilities}", "ReadWrite");
    let cloud = |provider: &str| {
        format!(
            "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: cloud }}\nspec: {{ provider: {provider} }}\n"
        )
    };
    for (provider, words) in [
        ("{ gcpsm: { projectID: p } }", "`gcpsm` cannot be reached by this build"),
        ("{ azurekv: { vaultUrl: 'https://v' } }", "`azurekv` cannot be reached by this build"),
        ("{ doppler: { project: p } }", "`doppler` is not supported"),
    ] {
        world.server.apply(&cloud(provider)).unwrap();
        world.until_it("secretstore", "cloud", READY, |said| {
            said.starts_with("False InvalidProviderConfig") && said.contains(words)
        });
        let _ = world.server.kubectl(&["delete", "secretstore", "cloud"]);
    }
    // A login that is wrong, and one that is mended.
    let token = |token: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: other }}\nstringData: {{ token: {token} }}\n")
    };
    world.server.apply(&token("canary-wrong")).unwrap();
    let address = &world.bao.address;
    world
        .server
        .apply(&format!(
            "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: other }}\nspec: {{ provider: {{ vault: {{ server: '{address}', path: secret, auth: {{ tokenSecretRef: {{ name: other, key: token }} }} }} }} }}\n"
        ))
        .unwrap();
    let said = world.until_it("secretstore", "other", READY, |said| said.contains("the server refused the login"));
    assert!(said.contains("give the store a token"), "no remedy: {said}");
    world.server.apply(&token("root")).unwrap();
    world.until("secretstore", "other", READY, "True Valid store validated");
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}

/// Whatever needs the server, a store has one login.
#[test]
fn a_store_logs_in_once() {
    let Some(world) = World::start() else { return };
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.server.apply("apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: { name: found }\nspec:\n  secretStoreRef: { name: bao }\n  dataFrom: [{ find: { name: { regexp: '^db$' } } }]\n---\napiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: { name: up }\nspec:\n  secretStoreRefs: [{ name: bao }]\n  selector: { secret: { name: db } }\n  data: [{ match: { secretKey: password, remoteRef: { remoteKey: pushed, property: password } } }]\n").unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-one"));
    world.until("secret", "found", "{.data.db}", &encoded("{\"password\":\"canary-one\"}"));
    world.until("pushsecret", "up", "{.status.conditions[0].status}", "True");
    world.until("secretstore", "bao", "{.status.conditions[0].status}", "True");
    let logins = || world.metric("secret_broker_store_calls_total", "call=\"login\"");
    assert!(wait_until(LIMIT, || (logins() > 0).then_some(())).is_some());
    assert_eq!(logins(), 1, "{}", world.log());
}
