//! AppRole with narrow rights, refusals, and manifests that cannot be used.

use std::process::Command;

use testkit::parts::{OpenBao, Part};

use crate::world::World;

const POLICY: &str = "path \"secret/data/app/*\" { capabilities = [\"read\"] }\n";

/// Sets AppRole up with a policy that lets values be read, but not metadata; returns role and secret id.
fn prepare(bao: &Part<OpenBao>) {
    let policy = bao.folder().join("policy.hcl");
    std::fs::write(&policy, POLICY).unwrap();
    bao.command(&["auth", "enable", "approle"]).unwrap();
    bao.command(&["policy", "write", "app", policy.to_str().unwrap()]).unwrap();
    bao.command(&["write", "auth/approle/role/app", "token_policies=app", "token_ttl=1h", "role_id=app-role"]).unwrap();
    bao.command(&["kv", "put", "-mount=secret", "app/one", "key=canary-app", "json={\"a\":[1,2]}"]).unwrap();
    bao.command(&["kv", "put", "-mount=secret", "other/two", "key=canary-other"]).unwrap();
}

fn store(secret_id: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: role, namespace: vault }}\nstringData: {{ id: {secret_id} }}\n---\n\
         apiVersion: external-secrets.io/v1beta1\nkind: ClusterSecretStore\nmetadata: {{ name: vault }}\nspec:\n  provider:\n    vault:\n      \
         server: SERVER\n      path: secret\n      auth:\n        appRole: {{ roleId: app-role, secretRef: {{ name: role, namespace: vault, key: id }} }}\n"
    )
}

fn external(name: &str, key: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1beta1\nkind: ExternalSecret\nmetadata: {{ name: {name} }}\nspec:\n  refreshInterval: 1s\n  \
         secretStoreRef: {{ kind: ClusterSecretStore, name: vault }}\n  data:\n  - secretKey: k\n    remoteRef: {{ key: {key} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn narrow_rights_are_enough_and_refusals_are_plain() {
    let Some(mut world) = World::start(prepare).await else { return };
    let said = world.bao.command(&["write", "-f", "-field=secret_id", "auth/approle/role/app/secret-id"]).unwrap();
    let secret_id = said.trim().to_owned();
    world.manifest("store.yaml", &store(&secret_id));
    world.manifest("one.yaml", &external("one", "app/one"));
    assert_eq!(world.event("synced").await.data["sources"][0]["version"], "1");
    let text = std::fs::read_to_string(world.target("default/one/k")).unwrap();
    assert_eq!(text, r#"{"json":"{\"a\":[1,2]}","key":"canary-app"}"#);
    world.bao.command(&["kv", "put", "-mount=secret", "app/one", "key=canary-app-2"]).unwrap();
    assert_eq!(world.event("rotated").await.data["sources"][0]["version"], "2");

    world.manifest("two.yaml", &external("two", "other/two"));
    let failed = world.event("sync-failed").await;
    let reason = failed.data["reason"].as_str().unwrap();
    assert!(reason.ends_with("the login may not read the value of `other/two`"), "{reason}");
    world.manifest("two.yaml", &external("two", "app/none"));
    let failed = world.event("sync-failed").await;
    assert_eq!(failed.data["reason"], "`app/none` does not exist in its store");

    let lost = external("lost", "app/one").replace("name: vault }", "name: valt }");
    world.manifest("lost.yaml", &lost);
    world.said("its store `ClusterSecretStore valt` does not exist at");
    world.manifest("broken.yaml", "kind: [\n");
    world.said("not YAML at");
    let everything = world.everything().await;
    assert!(!everything.contains("canary") && !everything.contains(&secret_id), "a value leaked:\n{everything}");
    let logins = world.admin("metrics").await;
    assert!(logins.contains("secret_broker_store_calls_total{call=\"login\",outcome=\"ok\"} 1\n"), "{logins}");
}

#[test]
fn a_bad_configuration_ends_with_64() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.yaml");
    std::fs::write(&path, "service:\n  manifests: nowhere\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_secret-broker"));
    let output = command.arg("--check-config").arg("--config").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("`service.manifests`: `nowhere` is not a folder: make it"), "{said}");
}
