//! Secrets Manager and Parameter Store, as a server of their own kind answers for them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use testkit::parts::{self, Moto, Part, wait_until};

use crate::cluster_world::{LIMIT, World, encoded};

/// Makes a call as Amazon's own command would; the server does not check signatures, but wants to see whose region it is.
fn call(moto: &Part<Moto>, target: &str, input: &Value) -> Value {
    let service = if target.starts_with("AmazonSSM") { "ssm" } else { "secretsmanager" };
    let host = moto.address.split_once("://").unwrap().1;
    let body = input.to_string();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-target: {target}\r\nauthorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_default()
}

fn store(name: &str, service: &str, more: &str) -> String {
    format!(
        "---\napiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: {name} }}\nspec:\n  provider:\n    aws:\n      service: {service}\n      region: eu-west-1\n{more}      auth:\n        secretRef:\n          accessKeyIDSecretRef: {{ name: keys, key: id }}\n          secretAccessKeySecretRef: {{ name: keys, key: secret }}\n"
    )
}

fn external(name: &str, store: &str, data: &str) -> String {
    format!(
        "---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: {name} }}\nspec:\n  refreshInterval: 1s\n  secretStoreRef: {{ name: {store} }}\n{data}\n"
    )
}

fn start() -> Option<(World, Part<Moto>)> {
    let (bao, moto) = (parts::openbao()?, parts::moto()?);
    let world = World::start_with(bao, &format!("  aws_endpoint: '{}'\n", moto.address))?;
    let keys = "apiVersion: v1\nkind: Secret\nmetadata: { name: keys }\nstringData: { id: AKIAEXAMPLE, secret: canary-access-key }\n";
    let stores = [store("manager", "SecretsManager", ""), store("parameters", "ParameterStore", "")].concat();
    world.server.apply(&format!("{keys}{stores}")).unwrap();
    Some((world, moto))
}

#[test]
fn secrets_manager_is_read_searched_and_written() {
    let Some((world, moto)) = start() else { return };
    let manager = |operation: &str, input: Value| call(&moto, &format!("secretsmanager.{operation}"), &input);
    manager(
        "CreateSecret",
        json!({ "Name": "team/db", "SecretString": r#"{"user":"app","password":"canary-1","deep":{"a":"canary-deep"}}"#, "Tags": [{ "Key": "env", "Value": "test" }] }),
    );
    manager("CreateSecret", json!({ "Name": "team/raw", "SecretString": "canary-raw" }));
    manager("CreateSecret", json!({ "Name": "team/bytes", "SecretBinary": encoded("canary-\u{1}bytes") }));
    world.server.apply(&external("one", "manager", "  data:\n  - { secretKey: password, remoteRef: { key: team/db, property: password } }\n  - { secretKey: deep, remoteRef: { key: team/db, property: deep.a } }\n  - { secretKey: raw, remoteRef: { key: team/raw } }\n  - { secretKey: bytes, remoteRef: { key: team/bytes } }")).unwrap();
    world.until("secret", "one", "{.data.password}", &encoded("canary-1"));
    for (key, value) in [("deep", "canary-deep"), ("raw", "canary-raw"), ("bytes", "canary-\u{1}bytes")] {
        world.until("secret", "one", &format!("{{.data.{key}}}"), &encoded(value));
    }
    world.server.apply(&external("all", "manager", "  dataFrom: [{ extract: { key: team/db } }]")).unwrap();
    world.until("secret", "all", "{.data.user}", &encoded("app"));
    world
        .server
        .apply(&external("byname", "manager", "  dataFrom: [{ find: { name: { regexp: 'team/r.*' } } }]"))
        .unwrap();
    world.until("secret", "byname", "{.data.team_raw}", &encoded("canary-raw"));
    world.server.apply(&external("bytag", "manager", "  dataFrom: [{ find: { tags: { env: test } } }]")).unwrap();
    world.until_it("secret", "bytag", "{.data.team_db}", |said| !said.is_empty());

    // A new version is seen at the next interval; the one before can still be named.
    manager(
        "PutSecretValue",
        json!({ "SecretId": "team/db", "SecretString": r#"{"user":"app","password":"canary-2"}"# }),
    );
    world.until("secret", "all", "{.data.password}", &encoded("canary-2"));
    world
        .server
        .apply(&external(
            "before",
            "manager",
            "  data: [{ secretKey: password, remoteRef: { key: team/db, property: password, version: AWSPREVIOUS } }]",
        ))
        .unwrap();
    world.until("secret", "before", "{.data.password}", &encoded("canary-1"));

    // What is not there; it comes, and goes.
    world
        .server
        .apply(&external("late", "manager", "  data: [{ secretKey: k, remoteRef: { key: team/late } }]"))
        .unwrap();
    world.until_refused("late", "Secret does not exist");
    manager("CreateSecret", json!({ "Name": "team/late", "SecretString": "canary-late" }));
    world.until("secret", "late", "{.data.k}", &encoded("canary-late"));
    // A role is refused by name, with what to do.
    world.server.apply(&store("assumed", "SecretsManager", "      role: arn:aws:iam::1:role/x\n")).unwrap();
    world
        .server
        .apply(&external("assumes", "assumed", "  data: [{ secretKey: k, remoteRef: { key: team/raw } }]"))
        .unwrap();
    world.until_refused("assumes", "`role` is not supported: give the keys");

    // A push makes it, changes it, and takes it back.
    world.server.apply("apiVersion: v1\nkind: Secret\nmetadata: { name: local }\nstringData: { k: canary-push }\n---\napiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: { name: out }\nspec:\n  refreshInterval: 1s\n  deletionPolicy: Delete\n  secretStoreRefs: [{ name: manager, kind: SecretStore }]\n  selector: { secret: { name: local } }\n  data: [{ match: { secretKey: k, remoteRef: { remoteKey: pushed/one } } }]\n").unwrap();
    let value = || manager("GetSecretValue", json!({ "SecretId": "pushed/one" }));
    // Values are pushed as bytes, as upstream does it.
    let holds = |wanted: &str| {
        let (text, bytes) = (json!(wanted), json!(encoded(wanted)));
        let found = wait_until(LIMIT, || {
            let value = value();
            (value["SecretString"] == text || value["SecretBinary"] == bytes).then_some(())
        });
        assert!(found.is_some(), "{wanted}: {}; {}", value(), world.broker.last_lines(20));
    };
    holds("canary-push");
    let tags = manager("DescribeSecret", json!({ "SecretId": "pushed/one" }))["Tags"].to_string();
    assert!(tags.contains("managed-by") && tags.contains("external-secrets"), "{tags}");
    world
        .server
        .apply("apiVersion: v1\nkind: Secret\nmetadata: { name: local }\nstringData: { k: canary-again }\n")
        .unwrap();
    holds("canary-again");
    world.until("pushsecret", "out", "{.status.conditions[0].reason}", "Synced");
    world.until_it("pushsecret", "out", "{.metadata.finalizers[0]}", |said| !said.is_empty());
    world.server.kubectl(&["delete", "pushsecret", "out", "--timeout=60s"]).unwrap();
    let deleted = manager("DescribeSecret", json!({ "SecretId": "pushed/one" }));
    assert!(
        deleted.get("DeletedDate").is_some_and(|date| !date.is_null()) || deleted.get("__type").is_some(),
        "{deleted}"
    );
    // What somebody else made is not overwritten.
    world.server.apply("apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: { name: foreign }\nspec:\n  refreshInterval: 1s\n  secretStoreRefs: [{ name: manager, kind: SecretStore }]\n  selector: { secret: { name: local } }\n  data: [{ match: { secretKey: k, remoteRef: { remoteKey: team/raw } } }]\n").unwrap();
    world.until("pushsecret", "foreign", "{.status.conditions[0].status}", "False");
    assert_eq!(manager("GetSecretValue", json!({ "SecretId": "team/raw" }))["SecretString"], "canary-raw");
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}

#[test]
fn parameter_store_is_read_searched_and_written() {
    let Some((world, moto)) = start() else { return };
    let parameters = |operation: &str, input: Value| call(&moto, &format!("AmazonSSM.{operation}"), &input);
    let put = |name: &str, value: &str| {
        parameters("PutParameter", json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true }))
    };
    put("/app/db", r#"{"user":"app","password":"canary-1"}"#);
    put("/app/plain", "canary-plain");
    put("/other/x", "canary-x");
    world.server.apply(&external("one", "parameters", "  data:\n  - { secretKey: password, remoteRef: { key: /app/db, property: password } }\n  - { secretKey: plain, remoteRef: { key: /app/plain } }")).unwrap();
    world.until("secret", "one", "{.data.password}", &encoded("canary-1"));
    world.until("secret", "one", "{.data.plain}", &encoded("canary-plain"));
    world.server.apply(&external("all", "parameters", "  dataFrom: [{ extract: { key: /app/db } }]")).unwrap();
    world.until("secret", "all", "{.data.user}", &encoded("app"));
    world
        .server
        .apply(&external("found", "parameters", "  dataFrom: [{ find: { path: /app, name: { regexp: 'plain' } } }]"))
        .unwrap();
    world.until("secret", "found", "{.data}", &format!("{{\"_app_plain\":\"{}\"}}", encoded("canary-plain")));
    put("/app/db", r#"{"user":"app","password":"canary-2"}"#);
    world.until("secret", "one", "{.data.password}", &encoded("canary-2"));
    world
        .server
        .apply(&external(
            "first",
            "parameters",
            "  data: [{ secretKey: password, remoteRef: { key: /app/db, property: password, version: '1' } }]",
        ))
        .unwrap();
    world.until("secret", "first", "{.data.password}", &encoded("canary-1"));
    world
        .server
        .apply(&external("late", "parameters", "  data: [{ secretKey: k, remoteRef: { key: /app/late } }]"))
        .unwrap();
    world.until_refused("late", "Secret does not exist");
    put("/app/late", "canary-late");
    world.until("secret", "late", "{.data.k}", &encoded("canary-late"));

    world.server.apply("apiVersion: v1\nkind: Secret\nmetadata: { name: local }\nstringData: { k: canary-push }\n---\napiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: { name: out }\nspec:\n  refreshInterval: 1s\n  deletionPolicy: Delete\n  secretStoreRefs: [{ name: parameters, kind: SecretStore }]\n  selector: { secret: { name: local } }\n  data: [{ match: { secretKey: k, remoteRef: { remoteKey: /pushed/one } } }]\n").unwrap();
    let value = || {
        parameters("GetParameter", json!({ "Name": "/pushed/one", "WithDecryption": true }))["Parameter"]["Value"]
            .clone()
    };
    assert!(
        wait_until(LIMIT, || (value() == "canary-push").then_some(())).is_some(),
        "{}; {}",
        value(),
        world.broker.last_lines(20)
    );
    world.until_it("pushsecret", "out", "{.metadata.finalizers[0]}", |said| !said.is_empty());
    world.server.kubectl(&["delete", "pushsecret", "out", "--timeout=60s"]).unwrap();
    assert!(value().is_null(), "{}", value());
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}
