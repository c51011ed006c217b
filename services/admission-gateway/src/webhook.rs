//! HTTPS: `/validate` and `/mutate`.

use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use futures::StreamExt as _;
use service::Context;

use crate::config::Config;
use crate::review::{Phase, Reviewer};
use crate::tls::Certificates;

/// Binds, says where, and serves until the shutdown.
pub(crate) async fn serve(
    context: &Context,
    config: &Config,
    certificates: Certificates,
    reviewer: Reviewer,
) -> anyhow::Result<String> {
    let ready = context.readiness.part("webhook");
    let listener = std::net::TcpListener::bind(&config.listen).with_context(|| {
        format!("cannot listen on service.listen {}: choose another address, or port 0", config.listen)
    })?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let tls = RustlsConfig::from_pem_file(&certificates.certificate, &certificates.key)
        .await
        .context("cannot use the server certificate")?;
    let router = Router::new()
        .route("/validate", post(validate))
        .route("/mutate", post(mutate))
        .route("/", get(|| async { "biotope admission-gateway: POST an AdmissionReview to /validate or /mutate\n" }))
        .with_state(reviewer);
    let handle = Handle::new();
    let (ending, shutdown) = (handle.clone(), context.shutdown.clone());
    context.spawn(async move {
        shutdown.cancelled().await;
        ending.graceful_shutdown(Some(Duration::from_secs(5)));
    });
    let server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle).serve(router.into_make_service());
    context.spawn_vital("webhook", async move { server.await.context("webhook server failed") });
    if let Some(file) = &config.address_file {
        service::write_atomically(file, &address.to_string())?;
    }
    tracing::info!(%address, "webhook listens");
    ready.ready();
    Ok(address.to_string())
}

async fn validate(State(reviewer): State<Reviewer>, body: Body) -> Response {
    answer(&reviewer, Phase::Validate, body).await
}

async fn mutate(State(reviewer): State<Reviewer>, body: Body) -> Response {
    answer(&reviewer, Phase::Mutate, body).await
}

async fn answer(reviewer: &Reviewer, phase: Phase, body: Body) -> Response {
    let body = match whole(body).await {
        Ok(body) => body,
        Err((status, why)) => return (status, format!("{why}\n")).into_response(),
    };
    match reviewer.review(phase, &body).await {
        Ok(review) => Json(review).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// The body. One that is too long is heard out, though not kept, up to a limit: who is refused while still sending may find the
/// connection closed before the answer is read.
async fn whole(body: Body) -> Result<Bytes, (StatusCode, String)> {
    let (mut kept, mut length, mut parts) = (Vec::new(), 0_usize, body.into_data_stream());
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| (StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}")))?;
        length = length.saturating_add(part.len());
        if length <= MAX_BODY_BYTES {
            kept.extend_from_slice(&part);
        } else if length > HEARD_OUT_BYTES {
            break;
        } else {
            kept = Vec::new();
        }
    }
    if length > MAX_BODY_BYTES {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {MAX_BODY_BYTES} bytes")));
    }
    Ok(kept.into())
}

/// What is read of a body in any case.
const HEARD_OUT_BYTES: usize = 64 * 1024 * 1024;

/// Twice the 3 MiB that the API server allows an object, for old and new, and some room.
const MAX_BODY_BYTES: usize = 7 * 1024 * 1024;
