//! Keeps Trivy's databases in the folder of advisories new: looks from time to time whether there is a newer one, and pulls it. What is
//! in force stays when that fails, and the fault says since when it is old. The watch of the folder does the rest.

use std::sync::Arc;
use std::time::Duration;

use model::{Fault, FaultKind};

use crate::config::Config;
use crate::database::{DatabaseKind, freshness, update_database};
use crate::metrics::Metrics;

pub(crate) struct Updates {
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Metrics,
}

impl Updates {
    /// Looks now, then every so often until the shutdown.
    pub(crate) async fn run(self, context: service::Context) -> anyhow::Result<()> {
        let settings = &self.config.database;
        let mut tick = tokio::time::interval(Duration::from_secs(settings.every_s));
        loop {
            tokio::select! {
                () = context.shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            let wanted =
                [(DatabaseKind::Vulnerabilities, &settings.sources), (DatabaseKind::Java, &settings.java_sources)];
            let mut faults = Vec::new();
            for (kind, sources) in wanted.into_iter().filter(|(_, sources)| !sources.is_empty()) {
                tokio::select! {
                    () = context.shutdown.cancelled() => return Ok(()),
                    fault = self.update(kind, sources) => faults.extend(fault),
                }
            }
            context.faults.replace("database update", faults);
        }
    }

    /// Pulls one, unless what is there is still the newest.
    async fn update(&self, kind: DatabaseKind, sources: &[String]) -> Option<Fault> {
        let folder = self.config.advisories.clone();
        let known = freshness(kind, &folder);
        if known.as_ref().is_some_and(|known| known.is_fresh(service::now())) {
            return None;
        }
        match update_database(kind, sources, &folder, &self.config.pull).await {
            Ok(updated) => {
                let outcome = if updated.is_new { "updated" } else { "current" };
                self.metrics.databases.get_or_create(&[("outcome", outcome)]).inc();
                if updated.is_new {
                    tracing::info!(?kind, built = updated.metadata.updated_at, "database updated");
                }
                None
            }
            Err(error) => {
                self.metrics.databases.get_or_create(&[("outcome", "failed")]).inc();
                tracing::error!(?kind, %error, "database is not updated");
                let in_force = known.map_or_else(
                    || "there is none".to_owned(),
                    |known| format!("the one built {} stays in force", known.updated_at),
                );
                let fault = Fault::new(FaultKind::Warning, &sources.join(", "), format!("{error}; {in_force}"));
                Some(fault.cure("check `service.database` and the registry; it is tried again"))
            }
        }
    }
}
