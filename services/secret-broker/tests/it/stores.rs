//! Webhooks over TLS, and the API server of a cluster as a store.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::cluster_world::{World, encoded};
use crate::outages::{authority, certificate};

/// An HTTPS server that gives one answer; and, where `clients` is given, only to who shows a certificate of that authority.
fn https((certificate, key): (String, String), answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (config, answer) = (Arc::new(config), Arc::new(answer));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, answer) = (config.clone(), answer.clone());
            std::thread::spawn(move || {
                let session = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::StreamOwned::new(session, stream);
                let (mut request, mut chunk) = (Vec::new(), [0_u8; 4096]);
                while !request.windows(4).any(|part| part == b"\r\n\r\n") {
                    match stream.read(&mut chunk) {
                        Ok(0) | Err(_) => return,
                        Ok(read) => request.extend_from_slice(&chunk[..read]),
                    }
                }
                let body = answer(&String::from_utf8_lossy(&request));
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.conn.send_close_notify();
                let _ = stream.flush();
            });
        }
    });
    address
}

fn webhook(name: &str, address: &str, trust: &str) -> String {
    format!(
        "---\napiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: {name} }}\nspec:\n  provider:\n    webhook:\n      url: '{address}/{{{{ .remoteRef.key }}}}'\n{trust}      result: {{ jsonPath: '$.value' }}\n---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: {name} }}\nspec:\n  refreshInterval: 1s\n  secretStoreRef: {{ name: {name} }}\n  data: [{{ secretKey: k, remoteRef: {{ key: one }} }}]\n"
    )
}

#[test]
fn webhooks_are_trusted_by_bundle_secret_and_config_map() {
    let Some(world) = World::start() else { return };
    let (ours, theirs) = (authority(), authority());
    let address = https(certificate(&ours, (2090, 1, 1)), |_| r#"{"value":"canary-hook"}"#.to_owned());
    let indented = |text: String| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let objects = |text: String| {
        let text = indented(text);
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: ca }}\ndata:\n  ca.crt: |\n{text}---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: ca }}\nstringData:\n  ca.crt: |\n{text}"
        )
    };
    world.server.apply(&objects(ours.pem())).unwrap();
    world.server.apply(&webhook("bundle", &address, &format!("      caBundle: {}\n", encoded(&ours.pem())))).unwrap();
    world
        .server
        .apply(&webhook("map", &address, "      caProvider: { type: ConfigMap, name: ca, key: ca.crt }\n"))
        .unwrap();
    world
        .server
        .apply(&webhook("secret", &address, "      caProvider: { type: Secret, name: ca, key: ca.crt }\n"))
        .unwrap();
    for name in ["bundle", "map", "secret"] {
        world.until("secret", name, "{.data.k}", &encoded("canary-hook"));
    }
    // Nobody is trusted who is not named: neither the system's authorities nor another.
    world.server.apply(&webhook("nobody", &address, "")).unwrap();
    world.server.apply(&webhook("other", &address, &format!("      caBundle: {}\n", encoded(&theirs.pem())))).unwrap();
    world.server.apply(&webhook("broken", &address, "      caBundle: bm90IGEgY2VydGlmaWNhdGU=\n")).unwrap();
    for (name, words) in [
        ("nobody", "its certificate is not trusted"),
        ("other", "its certificate is not trusted"),
        ("broken", "cabundle"),
    ] {
        world.until_refused(name, words);
    }
    // The authority is replaced: what trusts by reference heals without a change of the store.
    world.server.apply(&objects(theirs.pem())).unwrap();
    world.until_refused("map", "its certificate is not trusted");
    world.until("secret", "map", "{.data.k}", &encoded("canary-hook"));
    world.server.apply(&objects(ours.pem())).unwrap();
    world.until_ready("map");
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}

#[test]
fn a_cluster_is_a_store() {
    let Some(world) = World::start() else { return };
    let apply = |text: &str| world.server.apply(text).unwrap();
    world.server.kubectl(&["create", "namespace", "remote"]).unwrap();
    apply(
        "apiVersion: v1\nkind: Secret\nmetadata: { name: source, namespace: remote, labels: { kind: login } }\nstringData: { user: canary-user, json: '{\"a\":{\"b\":\"canary-deep\"}}' }\n---\napiVersion: v1\nkind: Secret\nmetadata: { name: other, namespace: remote }\nstringData: { x: canary-x }\n",
    );
    // An account that may use Secrets of that namespace, and none that may not.
    apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: reader }\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: { name: nobody }\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: { name: secrets, namespace: remote }\nrules: [{ apiGroups: [''], resources: [secrets], verbs: [get, list, watch, create, update, delete] }]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: { name: secrets, namespace: remote }\nroleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: secrets }\nsubjects: [{ kind: ServiceAccount, name: reader, namespace: default }]\n",
    );
    let ca = std::fs::read_to_string(&world.server.authority).unwrap();
    let lines: String = ca.lines().map(|line| format!("    {line}\n")).collect();
    apply(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: cluster }}\ndata:\n  ca.crt: |\n{lines}"));
    let store = |name: &str, auth: &str| {
        format!(
            "---\napiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: {name} }}\nspec:\n  provider:\n    kubernetes:\n      remoteNamespace: remote\n      server: {{ url: '{}', caProvider: {{ type: ConfigMap, name: cluster, key: ca.crt }} }}\n      auth: {auth}\n",
            world.server.url
        )
    };
    let external = |name: &str, store: &str, data: &str| {
        format!(
            "---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: {name} }}\nspec:\n  refreshInterval: 1s\n  secretStoreRef: {{ name: {store} }}\n{data}\n"
        )
    };
    let token = world.server.kubectl(&["create", "token", "reader"]).unwrap();
    apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: reader-token }}\nstringData: {{ token: {} }}\n",
        token.trim()
    ));
    apply(&store("account", "{ serviceAccount: { name: reader } }"));
    apply(&store("bearer", "{ token: { bearerToken: { name: reader-token, key: token } } }"));
    apply(&store("denied", "{ serviceAccount: { name: nobody } }"));
    let one = "  data:\n  - { secretKey: u, remoteRef: { key: source, property: user } }\n  - { secretKey: b, remoteRef: { key: source, property: json.a.b } }";
    for name in ["account", "bearer"] {
        apply(&external(name, name, one));
        world.until("secret", name, "{.data.u}", &encoded("canary-user"));
        world.until("secret", name, "{.data.b}", &encoded("canary-deep"));
    }
    apply(&external("all", "account", "  dataFrom: [{ extract: { key: source } }]"));
    world.until("secret", "all", "{.data.user}", &encoded("canary-user"));
    apply(&external("found", "account", "  dataFrom: [{ find: { tags: { kind: login } } }]"));
    world.until_it("secret", "found", "{.data.source}", |said| !said.is_empty());
    apply(
        "apiVersion: v1\nkind: Secret\nmetadata: { name: source, namespace: remote, labels: { kind: login } }\nstringData: { user: canary-next }\n",
    );
    world.until("secret", "account", "{.data.u}", &encoded("canary-next"));
    apply(&external("denied", "denied", one));
    world.until_refused("denied", "give it a Role");
    apply(&external("gone", "account", "  data: [{ secretKey: u, remoteRef: { key: nowhere, property: user } }]"));
    world.until_refused("gone", "Secret does not exist");

    // A push: made, changed, taken back.
    apply(
        "apiVersion: v1\nkind: Secret\nmetadata: { name: local }\nstringData: { k: canary-push }\n---\napiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: { name: out }\nspec:\n  refreshInterval: 1s\n  deletionPolicy: Delete\n  secretStoreRefs: [{ name: account, kind: SecretStore }]\n  selector: { secret: { name: local } }\n  data: [{ match: { secretKey: k, remoteRef: { remoteKey: pushed, property: there } } }]\n",
    );
    let there = |wanted: Option<&str>| {
        let read =
            || world.server.kubectl(&["get", "secret", "pushed", "-n", "remote", "-o", "jsonpath={.data.there}"]).ok();
        let wanted = wanted.map(encoded);
        let found = testkit::parts::wait_until(crate::cluster_world::LIMIT, || (read() == wanted).then_some(()));
        assert!(found.is_some(), "{:?} instead of {wanted:?}; {}", read(), world.broker.last_lines(20));
    };
    there(Some("canary-push"));
    apply("apiVersion: v1\nkind: Secret\nmetadata: { name: local }\nstringData: { k: canary-again }\n");
    there(Some("canary-again"));
    world.until_it("pushsecret", "out", "{.metadata.finalizers[0]}", |said| !said.is_empty());
    world.server.kubectl(&["delete", "pushsecret", "out", "--timeout=60s"]).unwrap();
    there(None);
    assert!(!world.log().contains("canary-") && !world.log().contains("eyJ"), "a value stands in the log");
}
