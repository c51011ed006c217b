//! First sync, delivery, rotation, sealing, healing.

use std::os::unix::fs::PermissionsExt as _;

use schemas::ask::{RotateOutcome, RotateReply, RotateRequest};
use serde_json::Value;

use crate::world::{LIMIT, World};

const STORE: &str = "\
apiVersion: v1
kind: Secret
metadata: { name: vault-token, namespace: shop }
stringData: { token: TOKEN }
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: { name: vault, namespace: shop }
spec:
  provider:
    vault:
      server: SERVER
      path: secret
      auth:
        tokenSecretRef: { name: vault-token, key: token }
";

const EXTERNAL: &str = "\
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: { name: db, namespace: shop }
spec:
  refreshInterval: 1h
  secretStoreRef: { name: vault }
  target: { name: db-credentials }
  data:
  - secretKey: password
    remoteRef: { key: shop/db, property: password }
  dataFrom:
  - extract: { key: shop/extra }
";

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, uid: 0b4e7b8e-6f0f-4d9a-9b3c-000000000001 }
spec:
  containers:
  - name: web
    image: web:1
    env: [{ name: P, valueFrom: { secretKeyRef: { name: db-credentials, key: password } } }]
  volumes: [{ name: v, secret: { secretName: db-credentials } }]
";

fn read(world: &World, path: &str) -> String {
    std::fs::read_to_string(world.target(path)).unwrap_or_default()
}

fn versions(event: &Value) -> Vec<&str> {
    event["sources"].as_array().unwrap().iter().map(|source| source["version"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_lives() {
    let prepare = |bao: &testkit::parts::Part<testkit::parts::OpenBao>| {
        bao.command(&["kv", "put", "-mount=secret", "shop/db", "password=canary-one"]).unwrap();
        bao.command(&["kv", "put", "-mount=secret", "shop/extra", "user=canary-user"]).unwrap();
    };
    let Some(mut world) = World::start(prepare).await else { return };
    let token = world.bao.token.clone();
    world.pod(POD);
    world.manifest("store.yaml", &STORE.replace("TOKEN", &token));
    world.manifest("db.yaml", EXTERNAL);

    let synced = world.event("synced").await;
    assert_eq!(synced.subject, "biotope.v1.local.start.secret.synced.shop");
    assert_eq!(
        (&synced.data["manifest"], &synced.data["target"]),
        (&"ExternalSecret shop/db".into(), &"db-credentials".into())
    );
    assert_eq!(versions(&synced.data), ["1", "1"]);
    assert_eq!(synced.identity.secrets[0].store, "SecretStore shop/vault");
    assert_eq!(
        (read(&world, "shop/db-credentials/password"), read(&world, "shop/db-credentials/user")),
        ("canary-one".into(), "canary-user".into())
    );
    let mode = std::fs::metadata(world.target("shop/db-credentials/password")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let delivered = world.event("delivered").await;
    assert_eq!(delivered.data["by"], serde_json::json!(["env", "volume"]));
    assert_eq!(delivered.identity.pod_uid.unwrap().as_str(), "0b4e7b8e-6f0f-4d9a-9b3c-000000000001");

    world.bao.command(&["kv", "put", "-mount=secret", "shop/db", "password=canary-two"]).unwrap();
    let rotated = world.event("rotated").await;
    assert_eq!((versions(&rotated.data), rotated.data["keys"].as_array().unwrap().len()), (vec!["2", "1"], 1));
    assert_eq!(read(&world, "shop/db-credentials/password"), "canary-two");
    let delivered = world.event("delivered").await;
    assert_eq!((&delivered.data["by"], versions(&delivered.data)), (&serde_json::json!(["volume"]), vec!["2", "1"]));

    std::fs::remove_dir_all(world.target("shop/db-credentials")).unwrap();
    assert_eq!(versions(&world.event("synced").await.data), ["2", "1"]);
    assert_eq!(read(&world, "shop/db-credentials/password"), "canary-two");

    sealed_and_healed(&mut world).await;
    let made = rotated_on_demand(&mut world).await;

    std::fs::remove_file(world.folder.path().join("secrets/db.yaml")).unwrap();
    world.said("target of a removed manifest was removed");
    assert!(!world.target("shop/db-credentials").exists());
    let everything = world.everything().await;
    assert!(
        everything.contains("secret_broker_store_calls") && !everything.contains("canary"),
        "a value leaked:\n{everything}"
    );
    assert!(!everything.contains(&token), "the token leaked:\n{everything}");
    assert!(!everything.contains(&made), "a value that was made leaked:\n{everything}");
}

/// Has a new version made, and gives its value.
async fn rotated_on_demand(world: &mut World) -> String {
    let ask = |path: &str| RotateRequest {
        store: "SecretStore shop/vault".to_owned(),
        path: path.to_owned(),
        reason: "incident 7".to_owned(),
    };
    world.bao.command(&["kv", "put", "-mount=secret", "shop/db", "password=canary-four", "user=ada"]).unwrap();
    world.event("rotated").await;
    let refused =
        world.bus.ask::<_, RotateReply>(("secret-broker", "rotate"), &ask("shop/db"), LIMIT).await.unwrap_err();
    assert!(refused.to_string().contains("does not say which may be made anew"), "{refused}");
    let refused =
        world.bus.ask::<_, RotateReply>(("secret-broker", "rotate"), &ask("shop/none"), LIMIT).await.unwrap_err();
    assert!(refused.to_string().contains("there is no secret at `shop/none`"), "{refused}");

    let said = ["kv", "metadata", "put", "-mount=secret", "-custom-metadata=rotate-keys=password", "shop/db"];
    world.bao.command(&said).unwrap();
    let reply: RotateReply = world.bus.ask(("secret-broker", "rotate"), &ask("shop/db"), LIMIT).await.unwrap();
    assert_eq!((reply.previous.as_str(), reply.version.as_str()), ("4", "5"));
    assert_eq!(
        (reply.keys, reply.targets, reply.late),
        (vec!["password".into()], vec!["shop/db-credentials".into()], vec![])
    );
    let [holder] = reply.holders.as_slice() else { panic!("{:?}", reply.holders) };
    assert_eq!((holder.name.as_str(), &holder.by), ("web", &vec!["env".to_owned(), "volume".to_owned()]));
    assert_eq!(holder.outcome, RotateOutcome::Keeps);
    let made = read(world, "shop/db-credentials/password");
    assert!(made.len() == 32 && !made.contains("canary"), "the value is new in the target when the answer comes");
    let stored = world.bao.command(&["kv", "get", "-mount=secret", "-field=user", "shop/db"]).unwrap();
    assert_eq!(stored.trim(), "ada", "what is not rotated stays");
    made
}

async fn sealed_and_healed(world: &mut World) {
    world.bao.command(&["operator", "seal"]).unwrap();
    let failed = world.event("sync-failed").await;
    assert!(
        failed.data["reason"].as_str().unwrap().ends_with("the server is sealed or not active (503)"),
        "{}",
        failed.data
    );
    assert!(failed.data["remedy"].as_str().unwrap().contains("bao operator unseal"));
    let stale = world.event("stale").await;
    assert_eq!(stale.data["target"], "db-credentials");
    assert_eq!(read(world, "shop/db-credentials/password"), "canary-two");
    assert_eq!(world.log().matches("the server is sealed").count(), 1, "{}", world.log());
    let said = std::fs::read_to_string(world.bao.process.log()).unwrap();
    let key = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Unseal Key: "))
        .expect("a development server tells its key");
    world.bao.command(&["operator", "unseal", key]).unwrap();
    world.bao.command(&["kv", "put", "-mount=secret", "shop/db", "password=canary-three"]).unwrap();
    assert_eq!(versions(&world.event("rotated").await.data), ["3", "1"]);
    assert_eq!(read(world, "shop/db-credentials/password"), "canary-three");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_makes_the_content() {
    let prepare = |bao: &testkit::parts::Part<testkit::parts::OpenBao>| {
        bao.command(&["kv", "put", "-mount=secret", "shop/db", "password=canary-one", "user=ada"]).unwrap();
    };
    let Some(mut world) = World::start(prepare).await else { return };
    let token = world.bao.token.clone();
    world.manifest("store.yaml", &STORE.replace("TOKEN", &token));
    let template = |url: &str| {
        format!(
            "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: url, namespace: shop }}\nspec:\n  secretStoreRef: {{ name: vault }}\n  \
             refreshInterval: 1h\n  target:\n    name: url\n    template:\n      engineVersion: v2\n      data:\n        url: '{url}'\n  dataFrom:\n  - extract: {{ key: shop/db }}\n"
        )
    };
    world.manifest("url.yaml", &template("postgres://{{ .user }}:{{ .password | upper }}@db/shop"));
    let synced = world.event("synced").await;
    assert_eq!(synced.data["target"], "url");
    assert_eq!(read(&world, "shop/url/url"), "postgres://ada:CANARY-ONE@db/shop");
    assert!(!world.target("shop/url/password").exists(), "only what the template names is written");

    world.bao.command(&["kv", "put", "-mount=secret", "shop/db", "password=canary-two", "user=ada"]).unwrap();
    world.event("rotated").await;
    assert_eq!(read(&world, "shop/url/url"), "postgres://ada:CANARY-TWO@db/shop");

    // A template that fails says where, keeps the last good content, and shows no value.
    world.manifest("url.yaml", &template("{{ .user }}{{ fail .password }}"));
    let failed = world.event("sync-failed").await;
    let reason = failed.data["reason"].as_str().unwrap();
    assert!(reason.starts_with("template of `url`: template: url:1:"), "{reason}");
    assert_eq!(read(&world, "shop/url/url"), "postgres://ada:CANARY-TWO@db/shop");
    world.manifest("url.yaml", &template("{{ .user | nonsense }}"));
    let failed = world.event("sync-failed").await;
    assert!(failed.data["reason"].as_str().unwrap().contains("function \"nonsense\" not defined"), "{}", failed.data);
    let said = format!("{}{}", world.log(), String::from_utf8_lossy(&world.seen)).to_lowercase();
    assert!(!said.contains("canary"), "no value is told");
}
