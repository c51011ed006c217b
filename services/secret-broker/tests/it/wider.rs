//! What the machine does not serve, against a real OpenBao, a real HTTP server and real folders.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::parts::wait_until;

use crate::world::{LIMIT, World};

/// An HTTP server that answers as it is told and keeps what it was asked.
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the first line and the whole request, and gives status and body.
    pub(crate) fn start(answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<String>>, answer: &dyn Fn(&str, &str) -> (u16, String)) {
    let mut request = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&chunk[..read]),
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let first = text.lines().next().unwrap_or_default().to_owned();
    let (status, body) = answer(&first, &text);
    kept.lock().unwrap().push(text);
    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes());
}

fn read(world: &World, path: &str) -> String {
    let found = wait_until(LIMIT, || std::fs::read_to_string(world.target(path)).ok());
    found.unwrap_or_else(|| panic!("{path} never came; log:\n{}", world.log()))
}

fn until(world: &World, path: &str, wanted: &str) {
    let mut last = None;
    let found = wait_until(LIMIT, || {
        last = std::fs::read_to_string(world.target(path)).ok();
        (last.as_deref() == Some(wanted)).then_some(())
    });
    assert!(found.is_some(), "{path}: {last:?} instead of {wanted}; log:\n{}", world.log());
}

const HEAD: &str = "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\n";

fn webhook_store(address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: hook, labels: {{ external-secrets.io/type: webhook }} }}\nstringData: {{ token: canary-header }}\n---\n\
         apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: hook }}\nspec:\n  provider:\n    webhook:\n      url: '{address}/s?id={{{{ .remoteRef.key }}}}'\n      timeout: 3s\n      \
         headers: {{ X-Token: '{{{{ .auth.token }}}}' }}\n      secrets: [{{ name: auth, secretRef: {{ name: hook }} }}]\n      result: {{ jsonPath: '$.items[?(@.name==\"{{{{ .remoteRef.property }}}}\")].value' }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_answer_by_template_and_path() {
    let Some(mut world) = World::start(|_| {}).await else { return };
    let server = Server::start(|first, _| match first {
        line if line.contains("id=slow") => {
            std::thread::sleep(Duration::from_secs(8));
            (200, String::new())
        }
        line if line.contains("id=gone") => (404, "canary-body".to_owned()),
        line if line.contains("id=broken") => (500, "canary-body".to_owned()),
        _ => (200, r#"{"items":[{"name":"a","value":"canary-a"},{"name":"b","value":"canary-b"}]}"#.to_owned()),
    });
    world.manifest("store.yaml", &webhook_store(&server.address));
    let one = |name: &str, key: &str| {
        format!(
            "{HEAD}metadata: {{ name: {name} }}\nspec:\n  refreshInterval: 1s\n  secretStoreRef: {{ name: hook }}\n  data: [{{ secretKey: k, remoteRef: {{ key: '{key}', property: b }} }}]\n"
        )
    };
    world.manifest("good.yaml", &one("good", "team/x y"));
    assert_eq!(read(&world, "default/good/k"), "canary-b");
    assert_eq!(world.event("synced").await.data["target"], "good");
    let asked = server.asked().join("\n");
    assert!(asked.contains("GET /s?id=team%2Fx+y HTTP/1.1"), "{asked}");
    assert!(asked.to_lowercase().contains("x-token: canary-header"), "{asked}");

    for (name, key, words) in [
        ("gone", "gone", "Secret does not exist"),
        ("broken", "broken", "endpoint gave error 500"),
        ("slow", "slow", "context deadline exceeded"),
    ] {
        world.manifest(&format!("{name}.yaml"), &one(name, key));
        let reason = loop {
            let failed = world.event("sync-failed").await;
            if failed.data["target"] == name {
                break failed.data["reason"].as_str().unwrap().to_owned();
            }
        };
        assert!(reason.contains(words), "{name}: {reason}");
    }
    // What goes takes its target along.
    std::fs::remove_file(world.folder.path().join("secrets/good.yaml")).unwrap();
    assert!(wait_until(LIMIT, || (!world.target("default/good").exists()).then_some(())).is_some(), "{}", world.log());
    let told = world.everything().await;
    assert!(!told.contains("canary-"), "a secret was told: {told}");
}

const GENERATORS: &str = "apiVersion: generators.external-secrets.io/v1alpha1
kind: Password
metadata: { name: pw }
spec: { length: 24, digits: 4, symbols: 0 }
---
apiVersion: generators.external-secrets.io/v1alpha1
kind: UUID
metadata: { name: id }
spec: {}
---
apiVersion: generators.external-secrets.io/v1alpha1
kind: SSHKey
metadata: { name: ssh }
spec: { keyType: ed25519, comment: ada@example.com }
---
apiVersion: generators.external-secrets.io/v1alpha1
kind: VaultDynamicSecret
metadata: { name: dyn }
spec:
  path: auth/token/create
  method: POST
  parameters: { policies: [default], ttl: 1h }
  resultType: Auth
  provider: { server: SERVER, auth: { tokenSecretRef: { name: bao-token, key: token } } }
---
apiVersion: v1
kind: Secret
metadata: { name: bao-token }
stringData: { token: root }
";

#[tokio::test(flavor = "multi_thread")]
async fn generators_make_values_and_pushes_take_them_to_the_vault() {
    let Some(mut world) = World::start(|_| {}).await else { return };
    world.manifest("generators.yaml", GENERATORS);
    for (name, kind, generator, key) in [
        ("made-pw", "Password", "pw", "password"),
        ("made-id", "UUID", "id", "uuid"),
        ("made-ssh", "SSHKey", "ssh", "privateKey"),
        ("made-dyn", "VaultDynamicSecret", "dyn", "client_token"),
    ] {
        world.manifest(
            &format!("{name}.yaml"),
            &format!("{HEAD}metadata: {{ name: {name} }}\nspec:\n  refreshInterval: 1h\n  dataFrom:\n  - sourceRef: {{ generatorRef: {{ apiVersion: generators.external-secrets.io/v1alpha1, kind: {kind}, name: {generator} }} }}\n"),
        );
        let value = read(&world, &format!("default/{name}/{key}"));
        assert!(!value.is_empty(), "{name}");
    }
    assert_eq!(read(&world, "default/made-pw/password").len(), 24);
    assert!(read(&world, "default/made-ssh/publicKey").trim_end().ends_with("ada@example.com"));
    // The token that the vault made works there.
    let token = read(&world, "default/made-dyn/client_token");
    assert!(world.bao.command(&["token", "lookup", &token]).is_ok());

    // A Secret goes to the vault, and by a search it comes back from there.
    world.manifest("store.yaml", "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: bao, labels: { env: test } }\nspec:\n  provider:\n    vault:\n      server: SERVER\n      path: secret\n      auth: { tokenSecretRef: { name: bao-token, key: token } }\n");
    world.manifest("push.yaml", "apiVersion: v1\nkind: Secret\nmetadata: { name: local }\nstringData: { user: canary-user, password: canary-password }\n---\napiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: { name: out }\nspec:\n  refreshInterval: 1h\n  secretStoreRefs: [{ labelSelector: { matchLabels: { env: test } }, kind: SecretStore }]\n  selector: { secret: { name: local } }\n  data:\n  - { match: { secretKey: user, remoteRef: { remoteKey: pushed/one, property: user } } }\n  - { match: { secretKey: password, remoteRef: { remoteKey: pushed/two, property: pw } } }\n");
    let pushed = wait_until(LIMIT, || {
        let said = world.bao.command(&["kv", "get", "-field=pw", "secret/pushed/two"]).ok()?;
        (said.trim() == "canary-password").then_some(())
    });
    assert!(pushed.is_some(), "{}", world.log());
    world.manifest("find.yaml", &format!("{HEAD}metadata: {{ name: found }}\nspec:\n  refreshInterval: 1s\n  secretStoreRef: {{ name: bao }}\n  dataFrom: [{{ find: {{ path: pushed, name: {{ regexp: '.*' }} }}, rewrite: [{{ regexp: {{ source: 'pushed/', target: '' }} }}] }}]\n"));
    until(&world, "default/found/one", r#"{"user":"canary-user"}"#);
    // It is looked for again and again.
    world.bao.command(&["kv", "put", "secret/pushed/one", "user=canary-next"]).unwrap();
    until(&world, "default/found/one", r#"{"user":"canary-next"}"#);

    // Keys are merged into a target that another manifest made.
    world.manifest("merge.yaml", &format!("{HEAD}metadata: {{ name: merge }}\nspec:\n  refreshInterval: 1s\n  secretStoreRef: {{ name: bao }}\n  target: {{ name: merged, creationPolicy: CreateOrMerge }}\n  data: [{{ secretKey: u, remoteRef: {{ key: pushed/one, property: user, metadataPolicy: None }} }}]\n"));
    until(&world, "default/merged/u", "canary-next");
    let told = world.everything().await;
    assert!(!told.contains("canary-"), "a secret was told: {told}");
    let _ = world.event("synced").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_provider_serves_says_so_and_the_rest_goes_on() {
    let Some(mut world) = World::start(|_| {}).await else { return };
    world.manifest("aws.yaml", "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: cloud }\nspec: { provider: { aws: { region: eu-west-1, service: SecretsManager } } }\n");
    world.manifest("es.yaml", &format!("{HEAD}metadata: {{ name: cloud }}\nspec:\n  secretStoreRef: {{ name: cloud }}\n  data: [{{ secretKey: k, remoteRef: {{ key: a }} }}]\n"));
    let failed = world.event("sync-failed").await;
    assert!(
        failed.data["reason"].as_str().unwrap().contains("only `auth.secretRef` is supported"),
        "{:?}",
        failed.data
    );
    world.manifest("gcp.yaml", "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: google }\nspec: { provider: { gcpsm: { projectID: p } } }\n");
    world.said("gcpsm");
}
