//! The broker at a real API server and a real OpenBao.

use std::time::Duration;

use schemas::ask::{RotateOutcome, RotateReply, RotateRequest};
use testkit::parts::{self, Nats, OpenBao, Part, wait_until};

use crate::cluster_world::{CRDS, LIMIT, World, configure, external, launch, store};

#[test]
fn secrets_of_a_real_cluster_follow_the_vault() {
    let Some(mut world) = World::start() else { return };
    let password = "{.data.password}";
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    world.server.apply(&external("db", "{ name: db-login }")).unwrap();
    world.until("secret", "db-login", password, "Y2FuYXJ5LW9uZQ==");
    world.until("externalsecret", "db", "{.status.conditions[0].reason}", "SecretSynced");
    // Its marks are those that External Secrets writes.
    assert_eq!(world.secret("db-login", "{.metadata.ownerReferences[0].kind}").unwrap(), "ExternalSecret");
    assert_eq!(world.secret("db-login", "{.metadata.labels.team}").unwrap(), "shop");
    assert_eq!(
        world.secret("db-login", "{.metadata.labels.reconcile\\.external-secrets\\.io/managed}").unwrap(),
        "true"
    );

    // Rotated at the vault, long before the interval is over; deleted by hand, made again.
    world.bao.command(&["kv", "put", "secret/db", "password=canary-two"]).unwrap();
    world.until("secret", "db-login", password, "Y2FuYXJ5LXR3bw==");
    world.server.kubectl(&["delete", "secret", "db-login"]).unwrap();
    world.until("secret", "db-login", password, "Y2FuYXJ5LXR3bw==");
    world.until_told("db", "Created: somebody else removed the Secret");
    // Changed by hand, in its content or in a mark of ours: put right, although nothing changed at the vault.
    for patch in [
        r#"{"data":{"password":"Zm9yZWlnbg=="}}"#,
        r#"{"metadata":{"annotations":{"reconcile.external-secrets.io/data-hash":"foreign"}}}"#,
    ] {
        world.server.kubectl(&["patch", "secret", "db-login", "--type=merge", "-p", patch]).unwrap();
        let foreign = |said: &str| !said.contains("Zm9yZWlnbg==") && !said.contains("foreign");
        world.until_it("secret", "db-login", "{.data} {.metadata.annotations}", foreign);
    }
    world.until("secret", "db-login", password, "Y2FuYXJ5LXR3bw==");
    world.until_told("db", "Updated: somebody else changed the Secret");

    // Who owns a target keeps it.
    world.server.apply("apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: { name: thief }\nspec:\n  secretStoreRef: { name: bao, kind: SecretStore }\n  target: { name: db-login }\n  data: [{ secretKey: password, remoteRef: { key: other, property: password } }]\n").unwrap();
    world.until("externalsecret", "thief", "{.status.conditions[0].status}", "False");
    world.until("secret", "db-login", password, "Y2FuYXJ5LXR3bw==");
    world.server.kubectl(&["delete", "externalsecret", "thief"]).unwrap();

    // What is immutable says so, and what is missing is waited for.
    world.bao.command(&["kv", "put", "secret/fixed", "password=canary-one"]).unwrap();
    world.server.apply(&external("fixed", "{ immutable: true }")).unwrap();
    world.until("secret", "fixed", password, "Y2FuYXJ5LW9uZQ==");
    world.bao.command(&["kv", "put", "secret/fixed", "password=canary-two"]).unwrap();
    world.until("externalsecret", "fixed", "{.status.conditions[0].status}", "False");
    let said = world
        .server
        .kubectl(&["get", "externalsecret", "fixed", "-o", "jsonpath={.status.conditions[0].message}"])
        .unwrap();
    assert!(said.starts_with("could not update secret, target is immutable"), "{said}");
    world.until("secret", "fixed", password, "Y2FuYXJ5LW9uZQ==");
    world.server.apply(&external("late", "{}")).unwrap();
    world.until("externalsecret", "late", "{.status.conditions[0].status}", "False");
    world.bao.command(&["kv", "put", "secret/late", "password=canary-one"]).unwrap();
    world.until("externalsecret", "late", "{.status.conditions[0].status}", "True");

    // The API server goes for a while; the vault changes meanwhile; everything heals.
    world.server.kill();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-three"]).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    world.server.start_again().unwrap();
    world.until("secret", "db-login", password, "Y2FuYXJ5LXRocmVl");

    // So it does after the broker itself was killed.
    world.broker.kill();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-four"]).unwrap();
    world.broker = launch(world.folder.path());
    world.until("secret", "db-login", password, "Y2FuYXJ5LWZvdXI=");
    // What it found as it had to be is no news.
    let count = || {
        let selector = "involvedObject.name=late,reason=Created";
        let events = world.server.kubectl(&["get", "events", "--field-selector", selector, "-o", "name"]).unwrap();
        events.lines().count()
    };
    let again = || (world.metric("secret_broker_external_secrets", "state=\"written\"") >= 2).then_some(());
    assert!(wait_until(LIMIT, again).is_some(), "{}", world.broker.last_lines(20));
    assert_eq!(count(), 1);

    // A manifest that goes takes its Secret along; an orphan's stays.
    world.server.apply(&external("late", "{ creationPolicy: Orphan }")).unwrap();
    world.until("secret", "late", "{.metadata.ownerReferences}", "");
    world.server.kubectl(&["delete", "externalsecret", "db", "late"]).unwrap();
    let gone = wait_until(LIMIT, || world.secret("db-login", password).is_none().then_some(()));
    assert!(gone.is_some(), "{}", world.broker.last_lines(20));
    assert!(world.secret("late", password).is_some());
    let log = std::fs::read_to_string(world.folder.path().join("log")).unwrap();
    assert!(!log.contains("canary-") && !log.contains("Y2FuYXJ5"), "a value stands in the log");
}

const POD: &str = "apiVersion: v1
kind: Pod
metadata: { name: holder }
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: localhost/busybox:1
    command: [sh, -c, 'echo $(cat /login/password) $PASSWORD; sleep 600']
    env: [{ name: PASSWORD, valueFrom: { secretKeyRef: { name: db, key: password } } }]
    volumeMounts: [{ name: login, mountPath: /login }]
  volumes: [{ name: login, secret: { secretName: db } }]
";

pub(crate) async fn join(nats: &Part<Nats>) -> bus::Bus {
    let bus_config = bus::Config { servers: vec![nats.url()], connect_timeout_s: 10, ..bus::Config::default() };
    let (name, service) = ("local".parse().unwrap(), "tester".to_owned());
    let origin = bus::Origin { cluster: name, service, instance: "1".to_owned(), node: None };
    let bus = bus::Bus::connect(&bus_config, origin).await.unwrap();
    bus.ensure_streams().await.unwrap();
    bus
}

/// A pod that holds a Secret by a variable, or by files alone; `owner` stands for what would make a new one.
pub(crate) fn pod(name: &str, owner: &str, by_variable: bool) -> String {
    let way = if by_variable {
        "env: [{ name: P, valueFrom: { secretKeyRef: { name: db, key: password } } }]"
    } else {
        "volumeMounts: [{ name: v, mountPath: /v }]"
    };
    let volumes = if by_variable { "[]" } else { "[{ name: v, secret: { secretName: db } }]" };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}{owner} }}\nspec:\n  containers:\n  - name: main\n    image: localhost/busybox:1\n    {way}\n  volumes: {volumes}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_restarts_who_keeps_the_version_before() {
    let Some(world) = World::start() else { return };
    let bus = join(&world.nats).await;
    let mut cursor = bus.cursor("BIOTOPE_EVENTS", bus::From::Beginning, Vec::new());
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    world.server.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: default }\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: owner }\n").unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", "{.data.password}", "Y2FuYXJ5LW9uZQ==");
    let uid = world.server.kubectl(&["get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}"]).unwrap();
    let owner = format!(
        ", ownerReferences: [{{ apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}, controller: true }}]"
    );
    for text in [pod("made", &owner, true), pod("bare", "", true), pod("reader", &owner, false)] {
        world.server.apply(&text).unwrap();
    }
    let (mut known, deadline) = (0, tokio::time::Instant::now() + LIMIT);
    while known < 3 && tokio::time::Instant::now() < deadline {
        let seen = cursor.next_batch(100, Duration::from_millis(500)).await;
        known += seen.iter().filter(|stored| stored.subject.contains("start.secret.delivered")).count();
    }
    assert_eq!(known, 3, "{}", world.broker.last_lines(20));
    let request = RotateRequest {
        store: "SecretStore default/bao".to_owned(),
        path: "db".to_owned(),
        reason: "incident 7".to_owned(),
    };
    let reply: RotateReply = bus.ask(("secret-broker", "rotate"), &request, LIMIT).await.unwrap();
    assert_eq!((reply.version.as_str(), &reply.late), ("2", &Vec::new()));
    let mut outcomes: Vec<_> = reply.holders.iter().map(|holder| (holder.name.as_str(), holder.outcome)).collect();
    outcomes.sort_by_key(|(name, _)| *name);
    let wanted =
        [("bare", RotateOutcome::Keeps), ("made", RotateOutcome::Restarted), ("reader", RotateOutcome::Follows)];
    assert_eq!(outcomes, wanted, "{:?}", reply.holders);
    let gone = wait_until(LIMIT, || world.server.kubectl(&["get", "pod", "made"]).is_err().then_some(()));
    assert!(gone.is_some(), "{}", world.broker.last_lines(20));
    for name in ["bare", "reader"] {
        assert!(world.server.kubectl(&["get", "pod", name]).is_ok(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_pods_are_known_to_hold_what_they_were_handed() {
    let (Some(bao), Some(nats)) = (parts::openbao(), parts::nats()) else { return };
    let Some(cluster) = parts::cluster() else { return };
    cluster.apply(CRDS).unwrap();
    let established =
        ["wait", "--for=condition=Established", "crd/externalsecrets.external-secrets.io", "--timeout=20s"];
    cluster.kubectl(&established).unwrap();
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), &nats, &cluster.kubeconfig, "");
    let bus = join(&nats).await;
    let mut cursor = bus.cursor("BIOTOPE_EVENTS", bus::From::Beginning, Vec::new());
    let broker = launch(folder.path());
    bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    cluster.apply(&store(&bao)).unwrap();
    cluster.apply(&external("db", "{}")).unwrap();
    cluster.apply(POD).unwrap();
    let ready = cluster.kubectl(&["wait", "--for=condition=Ready", "pod/holder", "--timeout=60s"]);
    assert!(ready.is_ok(), "{ready:?}\n{}", broker.last_lines(20));
    let uid = cluster.kubectl(&["get", "pod", "holder", "-o", "jsonpath={.metadata.uid}"]).unwrap();
    bao.command(&["kv", "put", "secret/db", "password=canary-two"]).unwrap();
    // First both ways, then the volume with the new version.
    let mut held = Vec::new();
    let deadline = tokio::time::Instant::now() + LIMIT;
    while held.len() < 2 && tokio::time::Instant::now() < deadline {
        for stored in cursor.next_batch(100, Duration::from_millis(500)).await {
            assert!(!String::from_utf8_lossy(&stored.payload).contains("canary-"), "a value is on the bus");
            let event = bus::decode_any(&stored.payload).unwrap();
            if event.event_type == "start.secret.delivered" || stored.subject.contains("start.secret.delivered") {
                held.push(event);
            }
        }
    }
    assert_eq!(held.len(), 2, "{}", broker.last_lines(20));
    for (event, (version, ways)) in held.iter().zip([("1", vec!["env", "volume"]), ("2", vec!["volume"])]) {
        assert_eq!(event.identity.pod_uid.as_ref().map(ToString::to_string).as_deref(), Some(uid.as_str()));
        assert_eq!(event.identity.pod_name.as_deref(), Some("holder"));
        assert_eq!(event.data["sources"][0]["version"], version);
        assert_eq!(event.data["sources"][0]["path"], "db");
        assert_eq!(event.data["by"], serde_json::json!(ways));
    }
    let said = wait_until(LIMIT, || cluster.kubectl(&["logs", "holder"]).ok().filter(|said| !said.is_empty()));
    assert_eq!(said.unwrap().trim(), "canary-one canary-one");
}

/// A store that logs in by `auth`, and a manifest that reads by it.
fn by(bao: &Part<OpenBao>, name: &str, auth: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: {name} }}\nspec:\n  provider:\n    vault: {{ server: '{}', path: secret, version: v2, auth: {auth} }}\n---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: by-{name} }}\nspec:\n  secretStoreRef: {{ name: {name} }}\n  data: [{{ secretKey: password, remoteRef: {{ key: db, property: password }} }}]\n",
        bao.address
    )
}

#[test]
fn every_login_of_a_cluster_works() {
    let Some(world) = World::start() else { return };
    let (bao, server) = (&world.bao, &world.server);
    let bao_says = |arguments: &[&str]| {
        let said = bao.command(arguments).unwrap();
        assert!(said.contains("Success") || said.contains("Data written"), "{arguments:?}: {said}");
    };
    bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    let policy = world.folder.path().join("policy.hcl");
    std::fs::write(&policy, "path \"secret/*\" { capabilities = [\"read\", \"list\"] }\n").unwrap();
    bao_says(&["policy", "write", "reads", policy.to_str().unwrap()]);

    // The server asks the cluster whether a token is good: it needs an account that may.
    server.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: reviewer }\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: { name: app }\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: { name: reviewer }\nroleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:auth-delegator' }\nsubjects: [{ kind: ServiceAccount, name: reviewer, namespace: default }]\n").unwrap();
    let reviewer = server.kubectl(&["create", "token", "reviewer"]).unwrap();
    bao_says(&["auth", "enable", "kubernetes"]);
    let (host, authority) =
        (format!("kubernetes_host={}", server.url), format!("kubernetes_ca_cert=@{}", server.authority.display()));
    let reviewer = format!("token_reviewer_jwt={}", reviewer.trim());
    bao_says(&["write", "auth/kubernetes/config", &host, &authority, &reviewer]);
    let bound = [
        "bound_service_account_names=app",
        "bound_service_account_namespaces=default",
        "token_policies=reads",
        "token_ttl=20s",
    ];
    bao_says(&[&["write", "auth/kubernetes/role/app"], &bound[..]].concat());
    server.apply(&by(bao, "kubernetes", "{ kubernetes: { role: app, serviceAccountRef: { name: app } } }")).unwrap();

    // The same tokens, checked by the cluster's public key.
    bao_says(&["auth", "enable", "jwt"]);
    let key = format!("jwt_validation_pubkeys=@{}", server.authority.with_file_name("accounts.pub").display());
    bao_says(&["write", "auth/jwt/config", &key]);
    let role = [
        "write",
        "auth/jwt/role/app",
        "role_type=jwt",
        "user_claim=sub",
        "bound_audiences=vault",
        "token_policies=reads",
    ];
    bao_says(&role);
    server
        .apply(&by(
            bao,
            "jwt",
            "{ jwt: { role: app, kubernetesServiceAccountToken: { serviceAccountRef: { name: app } } } }",
        ))
        .unwrap();

    // Name and password.
    bao_says(&["auth", "enable", "userpass"]);
    bao_says(&["write", "auth/userpass/users/app", "password=canary-password", "token_policies=reads"]);
    server
        .apply(
            "apiVersion: v1\nkind: Secret\nmetadata: { name: app-login }\nstringData: { password: canary-password }\n",
        )
        .unwrap();
    server.apply(&by(bao, "userpass", "{ userPass: { username: app, secretRef: { name: app-login } } }")).unwrap();

    for name in ["kubernetes", "jwt", "userpass"] {
        world.until("secret", &format!("by-{name}"), "{.data.password}", "Y2FuYXJ5LW9uZQ==");
    }

    // A role that the server does not know, and one that it comes to know later.
    server.apply(&by(bao, "unknown", "{ kubernetes: { role: nobody, serviceAccountRef: { name: app } } }")).unwrap();
    world.until("externalsecret", "by-unknown", "{.status.conditions[0].status}", "False");
    let said = server
        .kubectl(&["get", "externalsecret", "by-unknown", "-o", "jsonpath={.status.conditions[0].message}"])
        .unwrap();
    assert!(said.contains("the server refused the login"), "{said}");
    bao_says(&[&["write", "auth/kubernetes/role/nobody"], &bound[..]].concat());
    world.until("secret", "by-unknown", "{.data.password}", "Y2FuYXJ5LW9uZQ==");

    // The login ends after 20 seconds: it is renewed or made anew, and a change still arrives.
    std::thread::sleep(Duration::from_secs(25));
    bao.command(&["kv", "put", "secret/db", "password=canary-two"]).unwrap();
    for name in ["kubernetes", "jwt", "userpass", "unknown"] {
        world.until("secret", &format!("by-{name}"), "{.data.password}", "Y2FuYXJ5LXR3bw==");
    }
    let log = std::fs::read_to_string(world.folder.path().join("log")).unwrap();
    assert!(!log.contains("canary-") && !log.contains("eyJ"), "a value or a token stands in the log");
}
