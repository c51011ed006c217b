//! Rarer kinds at a real API server: pushes for many namespaces, targets that are no Secrets, generators of every sort.

use testkit::parts::{self, wait_until};

use crate::cluster_world::{LIMIT, World, encoded};
use crate::wider::Server;

fn generated(name: &str, kind: &str, generator: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: {name} }}\nspec:\n  refreshInterval: 1h\n  dataFrom: [{{ sourceRef: {{ generatorRef: {{ apiVersion: generators.external-secrets.io/v1alpha1, kind: {kind}, name: {generator} }} }} }}]\n"
    )
}

#[test]
fn generators_of_the_cluster_make_what_they_say() {
    let Some(world) = World::start() else { return };
    let apply = |text: &str| world.server.apply(text).unwrap();
    let head = "apiVersion: generators.external-secrets.io/v1alpha1\n";
    // One of the cluster, for every namespace.
    apply(&format!(
        "{head}kind: ClusterGenerator\nmetadata: {{ name: shared }}\nspec: {{ kind: Password, generator: {{ passwordSpec: {{ length: 31, digits: 4, symbols: 0, noUpper: true, allowRepeat: true }} }} }}\n"
    ));
    world.server.kubectl(&["create", "namespace", "team"]).unwrap();
    apply(&generated("shared", "ClusterGenerator", "shared"));
    apply(
        &generated("shared", "ClusterGenerator", "shared")
            .replace("name: shared }\nspec", "name: shared, namespace: team }\nspec"),
    );
    let made = world.until_it("secret", "shared", "{.data.password}", |said| !said.is_empty());
    let made = {
        use base64::Engine as _;
        String::from_utf8(base64::prelude::BASE64_STANDARD.decode(made).unwrap()).unwrap()
    };
    assert!(
        made.len() == 31
            && made.chars().filter(char::is_ascii_digit).count() == 4
            && !made.contains(char::is_uppercase)
    );
    let there = || {
        world
            .server
            .kubectl(&["get", "secret", "shared", "-n", "team", "-o", "jsonpath={.data.password}"])
            .ok()
            .filter(|said| !said.is_empty())
    };
    assert!(wait_until(LIMIT, there).is_some(), "{}", world.broker.last_lines(20));

    // One-time passwords: the value of RFC 6238 for its first time and its seed of twenty bytes, in eight digits.
    apply(
        "apiVersion: v1\nkind: Secret\nmetadata: { name: seed }\nstringData: { seed: GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ }\n",
    );
    apply(&format!(
        "{head}kind: MFA\nmetadata: {{ name: code }}\nspec: {{ secret: {{ name: seed, key: seed }}, length: 8, algorithm: sha1, when: '1970-01-01T00:00:59Z' }}\n"
    ));
    apply(&generated("code", "MFA", "code"));
    world.until("secret", "code", "{.data.token}", &encoded("94287082"));

    // What a server makes.
    let server = Server::start(|first, _| match first {
        line if line.contains("/token/app") => (200, r#"{"value":{"id":"canary-id","key":"canary-key"}}"#.to_owned()),
        _ => (404, String::new()),
    });
    apply(
        "apiVersion: v1\nkind: Secret\nmetadata: { name: hook, labels: { external-secrets.io/type: webhook } }\nstringData: { token: canary-header }\n",
    );
    apply(&format!(
        "{head}kind: Webhook\nmetadata: {{ name: made }}\nspec:\n  url: '{}/token/app'\n  headers: {{ X-Token: '{{{{ .auth.token }}}}' }}\n  secrets: [{{ name: auth, secretRef: {{ name: hook }} }}]\n  result: {{ jsonPath: '$.value' }}\n",
        server.address
    ));
    apply(&generated("made", "Webhook", "made"));
    world.until("secret", "made", "{.data.key}", &encoded("canary-key"));
    assert!(server.asked().join("\n").to_lowercase().contains("x-token: canary-header"));
    apply(&generated("none", "ClusterGenerator", "none"));
    world.until("externalsecret", "none", "{.status.conditions[0].status}", "False");
    assert!(!world.log().contains("canary-") && !world.log().contains("GEZDGNBV"), "a value stands in the log");
}

#[test]
fn pushes_fan_out_and_targets_may_be_other_objects() {
    let Some(bao) = parts::openbao() else { return };
    let Some(world) = World::start_with(bao, "  allow_generic_targets: true\n") else { return };
    let apply = |text: &str| world.server.apply(text).unwrap();
    world.make_teams(&["team-a", "team-b", "other"]);
    apply(
        "apiVersion: external-secrets.io/v1alpha1\nkind: ClusterPushSecret\nmetadata: { name: fan }\nspec:\n  pushSecretName: fanned\n  refreshTime: 1m\n  namespaceSelectors: [{ matchLabels: { kind: team } }]\n  pushSecretSpec:\n    refreshInterval: 1h\n    deletionPolicy: Delete\n    secretStoreRefs: [{ name: all, kind: ClusterSecretStore }]\n    selector: { secret: { name: local } }\n    data: [{ match: { secretKey: k, remoteRef: { remoteKey: 'fanned', property: k } } }]\n",
    );
    world.until("clusterpushsecret", "fan", "{.status.provisionedNamespaces}", "[\"team-a\"]");
    let pushed = |wanted: &str| {
        let read = || world.bao.command(&["kv", "get", "-field=k", "secret/fanned"]).unwrap_or_default();
        let found = wait_until(LIMIT, || (read().trim() == wanted).then_some(()));
        assert!(found.is_some(), "{:?} instead of {wanted:?}; {}", read(), world.broker.last_lines(20));
    };
    pushed("canary-team-a");
    world.server.kubectl(&["label", "namespace", "team-b", "kind=team"]).unwrap();
    world.server.kubectl(&["label", "namespace", "team-a", "kind-"]).unwrap();
    world.until("clusterpushsecret", "fan", "{.status.provisionedNamespaces}", "[\"team-b\"]");
    let gone = || world.server.kubectl(&["get", "pushsecret", "fanned", "-n", "team-a"]).is_err().then_some(());
    assert!(
        wait_until(LIMIT, gone).is_some(),
        "the push of a namespace that is not meant any more goes: {}",
        world.broker.last_lines(20)
    );
    let status = || {
        world
            .server
            .kubectl(&["get", "pushsecret", "fanned", "-n", "team-b", "-o", "jsonpath={.status.conditions[0].reason}"])
            .ok()
            .filter(|said| said == "Synced")
    };
    assert!(wait_until(LIMIT, status).is_some(), "{}", world.broker.last_lines(20));

    // A ConfigMap in place of a Secret: its data by a template, and a path within it.
    world.bao.command(&["kv", "put", "secret/conf", "host=db.example", "port=5432"]).unwrap();
    let target = |manifest: &str| {
        format!(
            "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: conf }}\nspec:\n  refreshInterval: 1s\n  secretStoreRef: {{ name: bao, kind: SecretStore }}\n  target:\n    name: conf\n    manifest: {manifest}\n    template: {{ data: {{ url: 'tcp://{{{{ .host }}}}:{{{{ .port }}}}' }} }}\n  dataFrom: [{{ extract: {{ key: conf }} }}]\n"
        )
    };
    apply(&target("{ apiVersion: v1, kind: ConfigMap }"));
    world.until("configmap", "conf", "{.data.url}", "tcp://db.example:5432");
    world.until_ready("conf");
    world.bao.command(&["kv", "put", "secret/conf", "host=db.example", "port=6432"]).unwrap();
    world.until("configmap", "conf", "{.data.url}", "tcp://db.example:6432");
    // Made again when somebody takes it away.
    world.server.kubectl(&["delete", "configmap", "conf"]).unwrap();
    world.until("configmap", "conf", "{.data.url}", "tcp://db.example:6432");
    // A kind that the server does not have.
    apply(
        &target("{ apiVersion: example.com/v1, kind: Nothing }")
            .replace("metadata: { name: conf }", "metadata: { name: nothing }"),
    );
    world.until("externalsecret", "nothing", "{.status.conditions[0].status}", "False");
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}
