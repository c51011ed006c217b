//! Kinds beside ExternalSecret at a real API server: pushes, generators, objects that fan out over namespaces.

use crate::cluster_world::World;

#[test]
fn pushes_generators_and_namespaces_of_a_real_cluster() {
    let Some(world) = World::start() else { return };
    let apply = |text: &str| world.server.apply(text).unwrap();

    // A generator's value, kept as upstream marks it.
    apply(
        "apiVersion: generators.external-secrets.io/v1alpha1\nkind: Password\nmetadata: { name: pw }\nspec: { length: 20 }\n",
    );
    apply(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: { name: made }\nspec:\n  refreshInterval: 1h\n  dataFrom: [{ sourceRef: { generatorRef: { apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, name: pw } } }]\n",
    );
    world.until("externalsecret", "made", "{.status.conditions[0].reason}", "SecretSynced");
    world.until("secret", "made", "{.metadata.ownerReferences[0].name}", "made");
    let first = world.secret("made", "{.data.password}").unwrap();
    assert!(!first.is_empty());
    // A Secret that goes is made again.
    world.server.kubectl(&["delete", "secret", "made"]).unwrap();
    world.until("secret", "made", "{.metadata.labels.reconcile\\.external-secrets\\.io/managed}", "true");

    // A push, and what it takes back when it goes.
    apply("apiVersion: v1\nkind: Secret\nmetadata: { name: local }\nstringData: { user: canary-pushed }\n");
    apply(
        "apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: { name: out }\nspec:\n  refreshInterval: 1h\n  deletionPolicy: Delete\n  secretStoreRefs: [{ name: bao, kind: SecretStore }]\n  selector: { secret: { name: local } }\n  data: [{ match: { secretKey: user, remoteRef: { remoteKey: out, property: user } } }]\n",
    );
    world.until("pushsecret", "out", "{.status.conditions[0].reason}", "Synced");
    assert_eq!(world.bao.command(&["kv", "get", "-field=user", "secret/out"]).unwrap().trim(), "canary-pushed");
    world.until("pushsecret", "out", "{.metadata.finalizers[0]}", "pushsecret.externalsecrets.io/finalizer");
    world.server.kubectl(&["delete", "pushsecret", "out", "--timeout=60s"]).unwrap();
    let left = world.bao.command(&["kv", "get", "secret/out"]).unwrap_or_default();
    assert!(!left.contains("canary-pushed"), "what was pushed is gone with the push");

    // One object for each namespace with a label, made and removed as labels change.
    world.bao.command(&["kv", "put", "secret/shared", "k=canary-shared"]).unwrap();
    let store = "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: { name: all }\nspec:\n  provider: { vault: { server: SERVER, path: secret, auth: { tokenSecretRef: { name: bao-token, namespace: default, key: token } } } }\n";
    apply(&store.replace("SERVER", &world.bao.address));
    for name in ["team-a", "team-b"] {
        world.server.kubectl(&["create", "namespace", name]).unwrap();
    }
    world.server.kubectl(&["label", "namespace", "team-a", "kind=team"]).unwrap();
    apply(
        "apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: { name: fan }\nspec:\n  externalSecretName: fanned\n  refreshTime: 1m\n  namespaceSelectors: [{ matchLabels: { kind: team } }]\n  externalSecretSpec:\n    refreshInterval: 1h\n    secretStoreRef: { name: all, kind: ClusterSecretStore }\n    target: { name: fanned }\n    data: [{ secretKey: k, remoteRef: { key: shared, property: k } }]\n",
    );
    world.until("clusterexternalsecret", "fan", "{.status.provisionedNamespaces}", "[\"team-a\"]");
    let in_namespace = |namespace: &str| {
        world.server.kubectl(&["get", "secret", "fanned", "-n", namespace, "-o", "jsonpath={.data.k}"]).ok()
    };
    let wait = |namespace: &'static str, is_there: bool| {
        let found = testkit::parts::wait_until(std::time::Duration::from_secs(40), || {
            (in_namespace(namespace).is_some() == is_there).then_some(())
        });
        assert!(found.is_some(), "{namespace} {is_there}");
    };
    wait("team-a", true);
    world.server.kubectl(&["label", "namespace", "team-b", "kind=team"]).unwrap();
    wait("team-b", true);
    world.server.kubectl(&["label", "namespace", "team-a", "kind-"]).unwrap();
    world.until("clusterexternalsecret", "fan", "{.status.provisionedNamespaces}", "[\"team-b\"]");
    let gone = testkit::parts::wait_until(std::time::Duration::from_secs(40), || {
        world.server.kubectl(&["get", "externalsecret", "fanned", "-n", "team-a"]).is_err().then_some(())
    });
    assert!(gone.is_some(), "the child of a namespace that is not meant any more goes");
}
