//! The admin server: `/live`, `/ready`, `/metrics`, `/faults`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Admin;
use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::readiness::Readiness;

/// What the server shows.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) faults: Faults,
}

/// Binds at once, so that `/live` answers while the service starts.
pub(crate) async fn serve(config: &Admin, shown: Shown, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = TcpListener::bind(&config.listen).await.map_err(|error| {
        anyhow::anyhow!("cannot listen on admin.listen {}: {error}; choose another address, or port 0", config.listen)
    })?;
    let address = listener.local_addr()?;
    if let Some(file) = &config.address_file {
        crate::write_atomically(file, &address.to_string())?;
    }
    tracing::info!(%address, "admin server listens");
    let router = Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/faults", get(faults))
        .with_state(shown);
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "admin server ended");
        }
    });
    Ok(())
}

async fn ready(State(shown): State<Shown>) -> (StatusCode, String) {
    let waiting = shown.readiness.waiting();
    if waiting.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines = waiting.iter().map(|(part, why)| format!("{part}: {why}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics.render())
}

async fn faults(State(shown): State<Shown>) -> impl IntoResponse {
    axum::Json(shown.faults.all())
}
