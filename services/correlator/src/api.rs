//! The HTTP API and the console.
//!
//! `GET /` and `/incidents/ID` are pages; `GET /api/incidents[?status=open&limit=100]`, `/api/incidents/ID` are JSON;
//! `GET /api/events[?since=RFC3339]` streams all events as JSON CloudEvents (server-sent events); `POST /api/replay[?since=RFC3339]`
//! with rules as YAML tells what incidents there would have been.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::{Bus, From};
use correlation::{Rule, RuleSet};
use model::{IncidentId, Timestamp};
use schemas::incident::v1::Status;
use serde::Deserialize;
use service::Context;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::Http;
use crate::page;
use crate::view::View;

/// What the API serves from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Served {
    view: View,
    bus: Bus,
    token: Option<Arc<[u8; 32]>>,
    readers: Arc<Semaphore>,
    replays: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Served {
    pub(crate) fn new(view: View, bus: Bus) -> Self {
        let (readers, replays) = (Arc::new(Semaphore::new(MAX_READERS)), Arc::new(Semaphore::new(1)));
        Self { view, bus, token: None, readers, replays, shutdown: CancellationToken::new() }
    }
}

/// Binds, writes the address file, and serves until the service ends.
pub(crate) async fn serve(context: &Context, http: &Http, mut served: Served) -> anyhow::Result<()> {
    if let Some(file) = &http.token_file {
        let token =
            std::fs::read_to_string(file).with_context(|| format!("cannot read the token file {}", file.display()))?;
        let token = token.trim();
        anyhow::ensure!(
            token.len() >= MIN_TOKEN,
            "the token in {} is shorter than {MIN_TOKEN} characters",
            file.display()
        );
        served.token = Some(Arc::new(Sha256::digest(token).into()));
    }
    served.shutdown = context.shutdown.clone();
    let listener = tokio::net::TcpListener::bind(http.listen)
        .await
        .with_context(|| format!("cannot listen on {}: choose another service.http.listen", http.listen))?;
    let address = listener.local_addr()?;
    if let Some(file) = &http.address_file {
        service::write_atomically(file, &address.to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    tracing::info!(%address, token = served.token.is_some(), "console and API are served");
    let shutdown = context.shutdown.clone();
    let router = router(served);
    context.spawn_vital("api", async move {
        axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await.context("the API ended")
    });
    Ok(())
}

fn router(served: Served) -> Router {
    Router::new()
        .route("/", get(list_page))
        .route("/incidents/{id}", get(incident_page))
        .route("/api/incidents", get(list))
        .route("/api/incidents/{id}", get(incident))
        .route("/api/events", get(events))
        .route("/api/replay", post(replay).layer(axum::extract::DefaultBodyLimit::max(MAX_RULES_BYTES)))
        .layer(middleware::from_fn_with_state(served.clone(), admit))
        .with_state(served)
}

/// Lets a request in: with a token, whoever brings it; without, only those who call us by a loopback name, so that a page of another
/// origin cannot read from here by rebinding its name.
async fn admit(State(served): State<Served>, request: Request, next: Next) -> Response {
    let is_admitted = match &served.token {
        Some(token) => {
            brought(request.headers()).is_some_and(|brought| Sha256::digest(brought).as_slice() == token.as_slice())
        }
        None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).is_some_and(is_loopback),
    };
    if !is_admitted {
        let status = if served.token.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        let mut refusal = refuse(status, "bring the token (Bearer, or as a password), or call a loopback address");
        if served.token.is_some() {
            // A browser then asks its user.
            refusal.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static(CHALLENGE));
        }
        return refusal;
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name.clone(), header::HeaderValue::from_static(value));
    }
    response
}

/// The token as programs bring it, or as a browser does: the password of any user (RFC 7617).
fn brought(headers: &HeaderMap) -> Option<String> {
    let brought = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    if let Some(token) = brought.strip_prefix("Bearer ") {
        return Some(token.trim().to_owned());
    }
    let decoded = STANDARD.decode(brought.strip_prefix("Basic ")?.trim()).ok()?;
    String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned())
}

fn is_loopback(host: &str) -> bool {
    let name = host
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or_else(|| host.rsplit_once(':').map_or(host, |(name, _)| name), |(name, _)| name);
    name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    status: Option<String>,
    limit: Option<usize>,
}

async fn list(State(served): State<Served>, Query(query): Query<ListQuery>) -> Response {
    let status = match query.status.as_deref() {
        None | Some("all") => None,
        Some("open") => Some(Status::Open),
        Some("resolved") => Some(Status::Resolved),
        Some(_) => return refuse(StatusCode::BAD_REQUEST, "status is open, resolved or all"),
    };
    Json(served.view.list(status, query.limit.unwrap_or(100).min(MAX_LIST))).into_response()
}

async fn incident(State(served): State<Served>, Path(id): Path<String>) -> Response {
    match id.parse::<IncidentId>().ok().and_then(|id| served.view.get(&id)) {
        Some(incident) => Json(incident).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "no such incident"),
    }
}

async fn list_page(State(served): State<Served>) -> Html<String> {
    Html(page::list(&served.view.list(None, MAX_LIST)))
}

async fn incident_page(State(served): State<Served>, Path(id): Path<String>) -> Response {
    match id.parse::<IncidentId>().ok().and_then(|id| served.view.get(&id)) {
        Some(incident) => Html(page::incident(&incident)).into_response(),
        None => (StatusCode::NOT_FOUND, Html(page::missing())).into_response(),
    }
}

#[derive(Debug, Default, Deserialize)]
struct SinceQuery {
    since: Option<String>,
}

impl SinceQuery {
    fn time(&self) -> Result<Option<Timestamp>, &'static str> {
        let parse = |text: &String| text.parse().map_err(|_| "since is a time like 2026-01-31T12:00:00Z");
        self.since.as_ref().map(parse).transpose()
    }
}

async fn events(State(served): State<Served>, Query(query): Query<SinceQuery>) -> Response {
    let from = match query.time() {
        Ok(since) => since.map_or(From::Now, From::Time),
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    let Ok(permit) = Arc::clone(&served.readers).try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many readers");
    };
    let (to, events) = mpsc::channel::<String>(64);
    for stream in STREAMS {
        tokio::spawn(forward(served.bus.cursor(stream, from, Vec::new()), to.clone(), served.shutdown.clone()));
    }
    let stream = futures::stream::unfold((events, permit), |(mut events, permit)| async move {
        let event = axum::response::sse::Event::default().data(events.recv().await?);
        Some((Ok::<_, Infallible>(event), (events, permit)))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))).into_response()
}

/// Sends the events of one stream as JSON until the reader or the service ends.
async fn forward(mut cursor: bus::Cursor, to: mpsc::Sender<String>, shutdown: CancellationToken) {
    loop {
        let batch = tokio::select! {
            () = shutdown.cancelled() => return,
            () = to.closed() => return,
            batch = cursor.next_batch(64, Duration::from_secs(5)) => batch,
        };
        for message in batch {
            let json = bus::decode_any(&message.payload).ok().and_then(|event| serde_json::to_string(&event).ok());
            if let Some(json) = json
                && to.send(json).await.is_err()
            {
                return;
            }
        }
    }
}

async fn replay(State(served): State<Served>, Query(query): Query<SinceQuery>, rules: String) -> Response {
    let since = match query.time() {
        Ok(since) => since.unwrap_or_else(|| service::now().minus(DEFAULT_REPLAY)),
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    let Ok(_permit) = served.replays.try_acquire() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "another replay runs");
    };
    let (rules, mut faults) = Rule::parse("rules.yaml", &rules);
    let (set, mut found) = RuleSet::compile(rules);
    faults.append(&mut found);
    if set.rules().next().is_none() {
        return (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(serde_json::json!({ "error": "no rule can be used", "faults": faults })),
        )
            .into_response();
    }
    match crate::replay(&served.bus, Arc::new(set), since).await {
        Ok(replayed) => Json(serde_json::json!({ "replayed": replayed, "faults": faults })).into_response(),
        Err(error) => refuse(StatusCode::BAD_GATEWAY, &format!("{error:#}")),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(serde_json::json!({ "error": why }))).into_response()
}

const STREAMS: [&str; 3] = ["BIOTOPE_BUILD", "BIOTOPE_EVENTS", "BIOTOPE_INCIDENTS"];
const SECURITY_HEADERS: &[(header::HeaderName, &str)] = &[
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];
const CHALLENGE: &str = "Basic realm=\"biotope\", charset=\"UTF-8\"";
const MAX_READERS: usize = 32;
const MAX_LIST: usize = 1_000;
const MIN_TOKEN: usize = 16;
const MAX_RULES_BYTES: usize = 1 << 20;
const DEFAULT_REPLAY: Duration = Duration::from_secs(24 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_loopback_names() {
        for host in ["127.0.0.1", "127.0.0.1:80", "localhost", "localhost:80", "[::1]", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "example.org", "127.0.0.1.example.org:80", "10.0.0.1", "[::2]:80", "localhost.example.org"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
