//! Watches the folder of advisories; on a change, loads it and matches all known images again.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bus::Publisher;

use crate::advisories::{Advisories, Fingerprint};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::rematch::rematch;
use crate::store::Store;
use crate::wire;

pub(crate) struct Watch {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) advisories: Arc<ArcSwap<Advisories>>,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Metrics,
    pub(crate) known: Fingerprint,
}

impl Watch {
    /// Loads the advisories for the first time: no scan may run before.
    pub(crate) async fn prepare(&mut self, context: &service::Context) -> anyhow::Result<()> {
        let ready = context.readiness.part("advisories");
        ready.waiting("loading");
        self.known = self.look().await?;
        self.load(context).await?;
        ready.ready();
        Ok(())
    }

    /// Matches what was known before with the advisories of today; then looks for changes until the shutdown.
    pub(crate) async fn run(mut self, context: service::Context) -> anyhow::Result<()> {
        self.rematch().await?;
        let mut tick = tokio::time::interval(Duration::from_secs(self.config.advisories_poll_s));
        loop {
            tokio::select! {
                () = context.shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            let now = self.look().await?;
            if now != self.known {
                self.known = now;
                self.load(&context).await?;
                self.rematch().await?;
            }
        }
    }

    async fn look(&self) -> anyhow::Result<Fingerprint> {
        let folder = self.config.advisories.clone();
        Ok(tokio::task::spawn_blocking(move || Fingerprint::of(&folder)).await?)
    }

    async fn load(&self, context: &service::Context) -> anyhow::Result<()> {
        let (folder, fingerprint) = (self.config.advisories.clone(), self.known.clone());
        let (advisories, faults) = tokio::task::spawn_blocking(move || Advisories::load(&folder, &fingerprint)).await?;
        tracing::info!(database = advisories.name(), faults = faults.len(), "advisories loaded");
        context.faults.replace("advisories", faults);
        self.advisories.store(Arc::new(advisories));
        self.metrics.advisories_loaded.inc();
        Ok(())
    }

    async fn rematch(&self) -> anyhow::Result<()> {
        let (store, advisories) = (self.store.clone(), self.advisories.load_full());
        let (sender, mut changes) = tokio::sync::mpsc::channel(64);
        let work = tokio::task::spawn_blocking(move || {
            rematch(&store, &advisories, |image, change| {
                // The receiver lives until the end of this call.
                let _ = sender.blocking_send((image.image.clone(), change));
            })
        });
        while let Some((image, change)) = changes.recv().await {
            self.metrics.changed.inc();
            if let Err(error) = self.publisher.publish(wire::changed(&image, change, service::now())).await {
                tracing::error!(image, %error, "changed findings are not published");
            }
        }
        match work.await? {
            Ok(done) => tracing::info!(images = done.images, changed = done.changed, "known images matched again"),
            Err(error) => tracing::error!(%error, "not all known images were matched again"),
        }
        Ok(())
    }
}
