//! Alerts to an HTTP server: a POST for each.

use std::time::Duration;

use anyhow::Context as _;

use super::{Channel, Notice};
use crate::config::HttpOutput;

/// The server.
pub(super) struct Http {
    client: reqwest::Client,
    url: String,
    content_type: &'static str,
    echoes: bool,
    runtime: tokio::runtime::Handle,
}

impl Http {
    pub(super) fn open(config: &HttpOutput, is_json: bool, runtime: tokio::runtime::Handle) -> anyhow::Result<Self> {
        let own = concat!("biotope/", env!("CARGO_PKG_VERSION"));
        let agent = if config.user_agent.is_empty() { own } else { &config.user_agent };
        let mut builder = reqwest::Client::builder().timeout(TIMEOUT).user_agent(agent);
        let read = |path: &std::path::Path| {
            std::fs::read(path).with_context(|| format!("alerts.http_output: cannot read {}", path.display()))
        };
        if config.insecure {
            builder = builder.danger_accept_invalid_certs(true);
        }
        if let Some(path) = &config.ca_cert {
            let certificate = reqwest::Certificate::from_pem(&read(path)?)?;
            builder = builder.tls_certs_merge([certificate]);
        }
        if let (true, Some(certificate), Some(key)) = (config.mtls, &config.client_cert, &config.client_key) {
            let pem = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
            builder = builder.identity(reqwest::Identity::from_pem(&pem)?);
        }
        let content_type = if is_json { "application/json" } else { "text/plain" };
        let client = builder.build().context("alerts.http_output cannot be used")?;
        Ok(Self { client, url: config.url.clone(), content_type, echoes: config.echo, runtime })
    }
}

impl Channel for Http {
    fn write(&mut self, notice: &Notice) -> anyhow::Result<()> {
        let request = self.client.post(&self.url).header("Content-Type", self.content_type).body(notice.line.clone());
        self.runtime.block_on(async {
            let answer = request.send().await?;
            let status = answer.status();
            if self.echoes {
                let said: String = answer.text().await?.chars().take(MAX_ECHO).collect();
                tracing::info!(%status, said, "the server of alerts answers");
            }
            anyhow::ensure!(status.is_success(), "{} answers {status}", self.url);
            Ok(())
        })
    }
}

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ECHO: usize = 1_000;
