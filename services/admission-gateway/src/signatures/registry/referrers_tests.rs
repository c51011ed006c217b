//! What registries, hostile ones among them, answer about what refers to an image.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::routing::any;
use serde_json::{Value, json};

use super::{ReadError, Registry, digest_of};
use crate::signatures::cosign::Signed;
use crate::signatures::logins::{Logins, PullSecrets};

const IMAGE: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Answers by path below `/v2/app/`.
#[derive(Default)]
struct Answers(BTreeMap<String, (StatusCode, Vec<u8>)>);

impl Answers {
    fn answer(&mut self, path: &str, status: StatusCode, body: &[u8]) {
        self.0.insert(format!("/v2/app/{path}"), (status, body.to_vec()));
    }

    /// An artifact with one layer, and its entry in an index.
    fn artifact(&mut self, layer: &[u8]) -> Value {
        let digest = digest_of(layer);
        self.answer(&format!("blobs/{digest}"), StatusCode::OK, layer);
        let manifest = json!({"artifactType": BUNDLE, "layers": [{"mediaType": BUNDLE, "digest": digest}]}).to_string();
        let digest = digest_of(manifest.as_bytes());
        self.answer(&format!("manifests/{digest}"), StatusCode::OK, manifest.as_bytes());
        json!({"digest": digest, "artifactType": BUNDLE})
    }

    fn index(&mut self, path: &str, entries: &[Value]) {
        self.answer(path, StatusCode::OK, json!({ "manifests": entries }).to_string().as_bytes());
    }

    async fn bundles(self) -> Result<Vec<Signed>, ReadError> {
        service::install_crypto();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = move |uri: Uri| {
            let found = self.0.get(uri.path()).cloned();
            async move { found.unwrap_or((StatusCode::NOT_FOUND, Vec::new())) }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
        let registry = Registry::new(vec![address.clone()], Logins::default()).unwrap();
        let image = format!("{address}/app:1").parse().unwrap();
        let access = Default::default();
        registry.repository(&image, (&access, &PullSecrets::default())).await.bundles(IMAGE).await
    }
}

fn bundle(number: usize) -> Vec<u8> {
    json!({
        "mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": number.to_string()}},
        "dsseEnvelope": {"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AAAA"}]},
    })
    .to_string()
    .into_bytes()
}

fn listed() -> String {
    format!("referrers/{IMAGE}")
}

fn tagged() -> String {
    format!("manifests/{}", IMAGE.replace(':', "-"))
}

#[tokio::test]
async fn bundles_are_found_by_the_list_and_by_the_tag() {
    for (status, path) in [
        (StatusCode::OK, listed()),
        (StatusCode::NOT_FOUND, tagged()),
        (StatusCode::BAD_REQUEST, tagged()),
        (StatusCode::METHOD_NOT_ALLOWED, tagged()),
    ] {
        let mut answers = Answers::default();
        answers.answer(&listed(), status, b"");
        let entries = [answers.artifact(&bundle(1)), json!({"digest": "sha256:b", "artifactType": "text/plain"})];
        answers.index(&path, &entries);
        assert_eq!(answers.bundles().await.unwrap().len(), 1, "{status}");
    }
    assert!(Answers::default().bundles().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_bundle_is_passed_over() {
    let mut answers = Answers::default();
    let deep = format!("{{\"mediaType\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let entries: Vec<Value> =
        [deep.as_bytes(), b"not json", b"{}", &bundle(1)].iter().map(|layer| answers.artifact(layer)).collect();
    answers.index(&listed(), &entries);
    assert_eq!(answers.bundles().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_index_that_lists_itself_leads_nowhere() {
    let mut answers = Answers::default();
    // Its own digest it cannot name; another that lists it, and so on, ends at the first, for indexes are not followed.
    let inner = json!({"manifests": [{"digest": IMAGE}]}).to_string();
    let digest = digest_of(inner.as_bytes());
    answers.answer(&format!("manifests/{digest}"), StatusCode::OK, inner.as_bytes());
    answers.index(&listed(), &[json!({ "digest": digest })]);
    assert!(answers.bundles().await.unwrap().is_empty());
}

#[tokio::test]
async fn hostile_answers_are_told_apart() {
    let mut many = Answers::default();
    let entries: Vec<Value> =
        (0..3_000).map(|number| json!({"digest": format!("sha256:{number}"), "artifactType": BUNDLE})).collect();
    many.index(&listed(), &entries);
    assert!(matches!(many.bundles().await, Err(ReadError::Referrers { .. })));

    let mut other = Answers::default();
    let entry = other.artifact(&bundle(1));
    let digest = entry["digest"].as_str().unwrap();
    other.answer(&format!("manifests/{digest}"), StatusCode::OK, b"{\"layers\": []}");
    other.index(&listed(), std::slice::from_ref(&entry));
    assert!(matches!(other.bundles().await, Err(ReadError::Content { .. })));

    let mut large = Answers::default();
    large.answer(&listed(), StatusCode::OK, &vec![b' '; 20 << 20]);
    assert!(matches!(large.bundles().await, Err(ReadError::TooLarge { .. })));

    let mut broken = Answers::default();
    broken.answer(&listed(), StatusCode::OK, b"[]");
    assert!(matches!(broken.bundles().await, Err(ReadError::Content { .. })));

    let mut failing = Answers::default();
    failing.answer(&listed(), StatusCode::INTERNAL_SERVER_ERROR, b"");
    assert!(matches!(failing.bundles().await, Err(ReadError::Status { .. })));
}
