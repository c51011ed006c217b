//! Registries that refuse, stumble, lie or send in circles: a small server that answers what a real one would not on demand.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use registry_scanner::{Limits, Options, Pull, ScanError, Store, scan_once};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::images::{Blob, config, index, manifest, options, sha256, story};

/// What a server answers: status, headers, body, and how many bytes of it are really sent.
pub(crate) struct Answer(u16, Vec<(&'static str, String)>, Vec<u8>, Option<usize>);

pub(crate) fn plain(status: u16) -> Answer {
    Answer(status, Vec::new(), Vec::new(), None)
}

pub(crate) fn body(bytes: &[u8]) -> Answer {
    Answer(200, Vec::new(), bytes.to_vec(), None)
}

/// One request: its path and its headers, in lower case.
pub(crate) struct Asked {
    pub(crate) path: String,
    headers: HashMap<String, String>,
}

type Script = Box<dyn Fn(&Asked, usize) -> Option<Answer> + Send + Sync>;

/// A server with the image of [`story`] as `i:1`; a script may answer first. It is told how often the same path was asked for before.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Asked, usize) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, script) = (asked.clone(), Arc::new(Box::new(script) as Script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, log.clone(), script.clone()));
            }
        });
        service::install_crypto();
        Self { address, asked }
    }

    fn target(&self) -> String {
        format!("{}/i:1", self.address)
    }

    fn ranges(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter_map(|one| one.headers.get("range").cloned()).collect()
    }
}

async fn serve(mut stream: tokio::net::TcpStream, log: Arc<Mutex<Vec<Asked>>>, script: Arc<Script>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(key, value)| (key.to_lowercase(), value.to_owned()));
    let asked = Asked { path, headers: headers.collect() };
    let before = log.lock().unwrap().iter().filter(|one| one.path == asked.path).count();
    let answer = script(&asked, before).unwrap_or_else(|| honest(&asked));
    log.lock().unwrap().push(asked);
    let Answer(status, headers, body, sent) = answer;
    let mut head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for (key, value) in headers {
        head.push_str(&format!("{key}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body[..sent.unwrap_or(body.len())]).await;
    let _ = stream.shutdown().await;
}

/// What a registry that means well answers.
fn honest(asked: &Asked) -> Answer {
    let layers = story();
    if asked.path.ends_with("/manifests/1") {
        return body(&manifest(&layers));
    }
    let blobs = layers.iter().map(|layer| layer.bytes.clone()).chain([config(&layers), manifest(&layers)]);
    let found = blobs.into_iter().find(|bytes| asked.path.ends_with(sha256(bytes).as_str()));
    let Some(bytes) = found else { return plain(if asked.path == "/v2/" { 200 } else { 404 }) };
    let from =
        asked.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.trim_end_matches('-').parse().ok());
    match from {
        Some(from) if from > 0 => partial(&bytes, from),
        _ => body(&bytes),
    }
}

fn partial(bytes: &[u8], from: usize) -> Answer {
    let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
    Answer(206, vec![("Content-Range", range)], bytes[from..].to_vec(), None)
}

fn fresh(folder: &Path) -> Options {
    Options { store: Store::default(), pull: Pull { retries: 2, ..Pull::default() }, ..options(folder) }
}

async fn error(script: impl Fn(&Asked, usize) -> Option<Answer> + Send + Sync + 'static) -> (ScanError, usize) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(script).await;
    let error = scan_once(&server.target(), &fresh(folder.path())).await.unwrap_err();
    let asked = server.asked.lock().unwrap().iter().filter(|one| one.path.ends_with("/manifests/1")).count();
    (error, asked)
}

fn on_manifest(answer: impl Fn() -> Answer + Send + Sync + 'static) -> impl Fn(&Asked, usize) -> Option<Answer> {
    move |asked, _| asked.path.ends_with("/manifests/1").then(&answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_final_and_failures_are_tried_again() {
    for (status, wanted, is_retryable, times) in [
        (401, "/i:1`: 401", false, 1),
        (403, "/i:1`: it answers 403", false, 1),
        (404, "is not in its registry", false, 1),
        (429, "too many requests", true, 3),
        (500, "/i:1`: it answers 500", true, 3),
        (503, "/i:1`: it answers 503", true, 3),
    ] {
        let (error, asked) = error(on_manifest(move || plain(status))).await;
        assert!(error.to_string().contains(wanted), "{status}: {error}");
        assert!(error.to_string().contains("127.0.0.1"), "{status}: {error}");
        assert_eq!((error.is_retryable(), asked), (is_retryable, times), "{status}: {error}");
    }
    let (error, _) = error(|asked: &Asked, _| {
        let again = asked.path.clone();
        (asked.path != "/v2/").then(|| Answer(307, vec![("Location", again)], Vec::new(), None))
    })
    .await;
    assert!(error.to_string().contains("redirect"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, before| match (before, asked.path.contains("/blobs/")) {
        (0, false) if asked.path != "/v2/" => Some(plain(429)),
        (0, true) => Some(plain(502)),
        _ => None,
    })
    .await;
    let report = scan_once(&server.target(), &fresh(folder.path())).await.unwrap();
    assert_eq!((report.partial, report.findings.len(), report.digest), (false, 2, sha256(&manifest(&story()))));
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_are_no_manifests_are_named() {
    let valid = manifest(&story());
    let long = [valid.clone(), vec![b' '; 1 << 16]].concat();
    let other: Vec<Blob> =
        story().into_iter().map(|blob| Blob { media_type: "application/x".to_owned(), ..blob }).collect();
    let fewer: Vec<Blob> = story().into_iter().take(2).collect();
    let short = String::from_utf8(manifest(&fewer))
        .unwrap()
        .replace(sha256(&config(&fewer)).as_str(), sha256(&config(&story())).as_str());
    for (bytes, wanted) in [
        (b"[".to_vec(), "EOF"),
        (b"{}".to_vec(), "neither `config` nor `manifests`"),
        (b"{\"schemaVersion\":1}".to_vec(), "schema version 1"),
        (br#"{"schemaVersion":2,"config":{"digest":"nonsense"}}"#.to_vec(), "digest"),
        (index(&[(&index(&[]), "amd64")]), "is not in its registry"),
        (index(&[(&valid, "s390x")]), "it has linux/s390x"),
        (manifest(&other), "is no layer of a container image"),
        (short.into_bytes(), "it has 2 layers, but its configuration names 3"),
        (long, "longer than the limit of 20000 bytes"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let answered = bytes.clone();
        let server = Server::start(on_manifest(move || body(&answered))).await;
        let limits = Limits { max_manifest_bytes: 20_000, ..Limits::default() };
        let error = scan_once(&server.target(), &Options { limits, ..fresh(folder.path()) }).await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
    }
    // Another manifest than the one that was asked for by digest.
    let folder = tempfile::tempdir().unwrap();
    let server =
        Server::start(|asked, _| asked.path.contains("/manifests/").then(|| body(b"{\"schemaVersion\":2}"))).await;
    let pinned = format!("{}/i@{}", server.address, sha256(&valid));
    let error = scan_once(&pinned, &fresh(folder.path())).await.unwrap_err();
    assert!(error.to_string().contains("igest"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_downloads_go_on_where_they_broke() {
    let base = story()[0].bytes.clone();
    let half = base.len() / 2;
    for has_ranges in [true, false] {
        let (folder, base) = (tempfile::tempdir().unwrap(), base.clone());
        let server = Server::start(move |asked, before| {
            let is_base = asked.path.ends_with(sha256(&base).as_str());
            match before {
                _ if !is_base => None,
                0 => Some(Answer(200, Vec::new(), base.clone(), Some(half))),
                _ if has_ranges => None,
                _ => Some(body(&base)),
            }
        })
        .await;
        let report = scan_once(&server.target(), &fresh(folder.path())).await.unwrap();
        let said: String = report.faults.iter().map(ToString::to_string).collect();
        assert_eq!((report.partial, report.findings.len()), (false, 2), "{said}");
        assert!(server.ranges().contains(&format!("bytes={half}-")), "{:?}", server.ranges());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_does_not_come_makes_the_result_partial() {
    for (status, sent) in [(403, None), (404, None), (500, None), (200, Some(10))] {
        let (folder, base) = (tempfile::tempdir().unwrap(), story()[0].bytes.clone());
        let name = sha256(&base);
        let victim = name.clone();
        let server = Server::start(move |asked, _| {
            asked.path.ends_with(victim.as_str()).then(|| Answer(status, Vec::new(), base.clone(), sent.map(|_| 0)))
        })
        .await;
        let report = scan_once(&server.target(), &fresh(folder.path())).await.unwrap();
        let said: String = report.faults.iter().map(ToString::to_string).collect();
        assert!(report.partial && said.contains(name.as_str()), "{status}: {said}");
        assert_eq!(report.findings.iter().map(|one| one.package.as_str()).collect::<Vec<_>>(), ["urllib3"], "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_tokens_are_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| {
        let host = asked.headers.get("host").cloned().unwrap_or_default();
        if asked.path.starts_with("/token") {
            return Some(body(b"{\"token\":\"abc\"}"));
        }
        let is_known = asked.headers.get("authorization").is_some_and(|value| value == "Bearer abc");
        let realm = format!("Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"repository:i:pull\"");
        (!is_known).then(|| Answer(401, vec![("WWW-Authenticate", realm)], Vec::new(), None))
    })
    .await;
    let report = scan_once(&server.target(), &fresh(folder.path())).await.unwrap();
    assert_eq!((report.partial, report.findings.len()), (false, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_are_asked_first_and_the_registry_last() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, empty) = (Server::start(|_, _| None).await, Server::start(|_, _| Some(plain(404))).await);
    let mirror = Server::start(|asked, _| {
        let path = asked.path.replace("/v2/hub/", "/v2/");
        asked.path.contains("/hub/").then(|| honest(&Asked { path, headers: asked.headers.clone() }))
    })
    .await;
    let with = |mirrors: &[String]| Options {
        pull: Pull { mirrors: [(origin.address.clone(), mirrors.to_vec())].into(), ..Pull::default() },
        ..fresh(folder.path())
    };
    let report = scan_once(&origin.target(), &with(std::slice::from_ref(&empty.address))).await.unwrap();
    assert_eq!((report.image, report.findings.len()), (origin.target(), 2));
    assert!(!empty.asked.lock().unwrap().is_empty());
    origin.asked.lock().unwrap().clear();
    let mirrors = [empty.address.clone(), format!("{}/hub", mirror.address)];
    let report = scan_once(&origin.target(), &with(&mirrors)).await.unwrap();
    assert_eq!((report.partial, report.findings.len()), (false, 2));
    assert!(origin.asked.lock().unwrap().is_empty(), "the mirror gave everything");
}
