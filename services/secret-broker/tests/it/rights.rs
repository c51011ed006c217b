//! The broker with the rights that the chart gives it, and no others, does its whole job.

use std::path::PathBuf;

use schemas::ask::{RotateOutcome, RotateReply, RotateRequest};
use testkit::parts::{self, KubeApiserver, wait_until};

use crate::cluster::{join, pod};
use crate::cluster_world::{LIMIT, World, encoded, external};

/// The chart as it was reviewed: what `helm template` makes of the default values.
const CHART: &str = include_str!("../../../../helm/golden/default.yaml");
const ACCOUNT: &str = "biotope-secret-broker";

/// The account of the chart with its roles, and a kubeconfig with its token alone.
fn account(server: &KubeApiserver) -> PathBuf {
    let is_ours = |document: &&str| {
        document.contains("# Source: biotope/templates/secret-broker/")
            && document.contains("rbac.authorization.k8s.io")
    };
    let roles: Vec<&str> = CHART.split("\n---\n").filter(is_ours).collect();
    assert_eq!(roles.len(), 4, "a role and a binding, of the cluster and of the namespace");
    server.kubectl(&["create", "namespace", "biotope"]).unwrap();
    server.kubectl(&["create", "serviceaccount", ACCOUNT, "-n", "biotope"]).unwrap();
    server.apply(&roles.join("\n---\n")).unwrap();
    let token = server.kubectl(&["create", "token", ACCOUNT, "-n", "biotope", "--duration=24h"]).unwrap();
    let all = std::fs::read_to_string(&server.kubeconfig).unwrap();
    let mine = all.replace(&server.token, token.trim()).replace("user: admin }", "user: admin, namespace: biotope }");
    assert!(!mine.contains(&server.token) && mine.contains("namespace: biotope"), "the administrator's rights stayed");
    let file = server.kubeconfig.with_file_name("broker.kubeconfig");
    std::fs::write(&file, mine).unwrap();
    file
}

fn start() -> Option<World> {
    let world = World::start_as(parts::openbao()?, "", account)?;
    // It is the account's own rights that count.
    let who = format!("system:serviceaccount:biotope:{ACCOUNT}");
    for (verb, what) in [("delete", "pods"), ("list", "configmaps"), ("update", "externalsecrets"), ("get", "nodes")] {
        let said = world.server.kubectl(&["auth", "can-i", verb, what, "--as", &who]);
        assert!(said.is_err(), "the account may {verb} {what}: {said:?}");
    }
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_of_the_chart_are_enough_to_sync_restore_and_rotate() {
    let Some(world) = start() else { return };
    let bus = join(&world.nats).await;
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    world.server.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: default }\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: owner }\ndata: { text: 'password is {{ .password }}' }\n").unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", "{.data.password}", &encoded("canary-one"));
    world.until_ready("db");
    world.until_told("db", "Created: secret synced");
    world.until("secretstore", "bao", "{.status.conditions[0].status}", "True");
    let holder = ["get", "lease", "biotope-secret-broker", "-n", "biotope", "-o", "jsonpath={.spec.holderIdentity}"];
    assert!(!world.server.kubectl(&holder).unwrap().is_empty());
    world.server.kubectl(&["delete", "secret", "db"]).unwrap();
    world.until("secret", "db", "{.data.password}", &encoded("canary-one"));
    // A template of a ConfigMap.
    world
        .server
        .apply(
            &external(
                "db",
                "{ name: told, template: { templateFrom: [{ configMap: { name: owner, items: [{ key: text }] } }] } }",
            )
            .replace("metadata: { name: db,", "metadata: { name: told,"),
        )
        .unwrap();
    world.until("secret", "told", "{.data.text}", &encoded("password is canary-one"));

    let uid = world.server.kubectl(&["get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}"]).unwrap();
    let owner = format!(
        ", ownerReferences: [{{ apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}, controller: true }}]"
    );
    world.server.apply(&pod("made", &owner, true)).unwrap();
    // Asked again until the broker has heard of the pod.
    let (store, path) = ("SecretStore default/bao".to_owned(), "db".to_owned());
    let request = RotateRequest { store, path, reason: "test".to_owned() };
    let deadline = tokio::time::Instant::now() + LIMIT;
    let reply = loop {
        let reply: RotateReply = bus.ask(("secret-broker", "rotate"), &request, LIMIT).await.unwrap();
        if !reply.holders.is_empty() || tokio::time::Instant::now() >= deadline {
            break reply;
        }
    };
    let outcomes: Vec<_> = reply.holders.iter().map(|holder| (holder.name.as_str(), holder.outcome)).collect();
    assert_eq!(outcomes, [("made", RotateOutcome::Restarted)], "{:?}", reply.holders);
    let gone = wait_until(LIMIT, || world.server.kubectl(&["get", "pod", "made"]).is_err().then_some(()));
    assert!(gone.is_some(), "{}", world.broker.last_lines(20));

    world.server.kubectl(&["delete", "externalsecret", "db"]).unwrap();
    let gone = wait_until(LIMIT, || world.server.kubectl(&["get", "secret", "db"]).is_err().then_some(()));
    assert!(gone.is_some(), "{}", world.broker.last_lines(20));
    refused_nothing(&world);
}

#[test]
fn rights_of_the_chart_are_enough_for_every_other_kind() {
    let Some(world) = start() else { return };
    let apply = |text: &str| world.server.apply(text).unwrap();
    world.bao.command(&["kv", "put", "secret/shared", "k=canary-shared"]).unwrap();
    world.make_teams(&["team-a", "team-b"]);
    // A generator, and a target that is somebody else's and gets keys.
    apply(
        "apiVersion: generators.external-secrets.io/v1alpha1\nkind: Password\nmetadata: { name: pw }\nspec: { length: 20 }\n---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: { name: made }\nspec:\n  refreshInterval: 1h\n  dataFrom: [{ sourceRef: { generatorRef: { apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, name: pw } } }]\n",
    );
    world.until_it("secret", "made", "{.data.password}", |said| !said.is_empty());
    world.until_told("made", "Created");
    apply("apiVersion: v1\nkind: Secret\nmetadata: { name: theirs }\nstringData: { own: canary-own }\n");
    apply(&external("shared", "{ name: theirs, creationPolicy: Merge }").replace("property: password", "property: k"));
    world.until("secret", "theirs", "{.data.password}", &encoded("canary-shared"));
    world.until("secret", "theirs", "{.data.own}", &encoded("canary-own"));

    // The token of an account, for a store that is this cluster.
    apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: reader }\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: { name: secrets, namespace: team-a }\nrules: [{ apiGroups: [''], resources: [secrets], verbs: [get, list, watch] }]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: { name: secrets, namespace: team-a }\nroleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: secrets }\nsubjects: [{ kind: ServiceAccount, name: reader, namespace: default }]\n",
    );
    let authority = std::fs::read_to_string(&world.server.authority).unwrap();
    let lines: String = authority.lines().map(|line| format!("    {line}\n")).collect();
    apply(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: cluster }}\ndata:\n  ca.crt: |\n{lines}"));
    apply(&format!(
        "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: near }}\nspec:\n  provider:\n    kubernetes:\n      remoteNamespace: team-a\n      server: {{ url: '{}', caProvider: {{ type: ConfigMap, name: cluster, key: ca.crt }} }}\n      auth: {{ serviceAccount: {{ name: reader }} }}\n---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: near }}\nspec:\n  secretStoreRef: {{ name: near }}\n  data: [{{ secretKey: k, remoteRef: {{ key: local, property: k }} }}]\n",
        world.server.url
    ));
    world.until("secret", "near", "{.data.k}", &encoded("canary-team-a"));

    // A push that is taken back, with the finalizer that it needs for that.
    apply(
        "apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: { name: out }\nspec:\n  deletionPolicy: Delete\n  secretStoreRefs: [{ name: bao, kind: SecretStore }]\n  selector: { secret: { name: theirs } }\n  data: [{ match: { secretKey: own, remoteRef: { remoteKey: out, property: own } } }]\n",
    );
    world.until("pushsecret", "out", "{.status.conditions[0].reason}", "Synced");
    world.until("pushsecret", "out", "{.metadata.finalizers[0]}", "pushsecret.externalsecrets.io/finalizer");
    world.until_told("out", "Synced");
    world.server.kubectl(&["delete", "pushsecret", "out", "--timeout=60s"]).unwrap();

    // What fans out, and is taken back.
    apply(
        "apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: { name: fan }\nspec:\n  externalSecretName: fanned\n  namespaceSelectors: [{ matchLabels: { kind: team } }]\n  externalSecretSpec:\n    secretStoreRef: { name: all, kind: ClusterSecretStore }\n    target: { name: fanned }\n    data: [{ secretKey: k, remoteRef: { key: shared, property: k } }]\n---\napiVersion: external-secrets.io/v1alpha1\nkind: ClusterPushSecret\nmetadata: { name: fan }\nspec:\n  pushSecretName: fanned\n  namespaceSelectors: [{ matchLabels: { kind: team } }]\n  pushSecretSpec:\n    secretStoreRefs: [{ name: all, kind: ClusterSecretStore }]\n    selector: { secret: { name: local } }\n    data: [{ match: { secretKey: k, remoteRef: { remoteKey: fanned, property: k } } }]\n",
    );
    for kind in ["clusterexternalsecret", "clusterpushsecret"] {
        world.until(kind, "fan", "{.status.provisionedNamespaces}", "[\"team-a\"]");
    }
    let of_team = |kind: &str, namespace: &str| world.server.kubectl(&["get", kind, "fanned", "-n", namespace]).is_ok();
    assert!(wait_until(LIMIT, || of_team("secret", "team-a").then_some(())).is_some(), "{}", world.log());
    let pushed = || world.bao.command(&["kv", "get", "-field=k", "secret/fanned"]).unwrap_or_default();
    assert!(wait_until(LIMIT, || (pushed().trim() == "canary-team-a").then_some(())).is_some(), "{}", world.log());
    world.server.kubectl(&["label", "namespace", "team-a", "kind-"]).unwrap();
    world.server.kubectl(&["label", "namespace", "team-b", "kind=team"]).unwrap();
    for kind in ["externalsecret", "pushsecret"] {
        let moved = || (!of_team(kind, "team-a") && of_team(kind, "team-b")).then_some(());
        assert!(wait_until(LIMIT, moved).is_some(), "{kind}: {}", world.broker.last_lines(20));
    }
    refused_nothing(&world);
}

/// The server never said no.
fn refused_nothing(world: &World) {
    let log = world.log();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("orbidden") || line.contains("may not")).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(!log.contains("canary-"), "a value stands in the log");
}
