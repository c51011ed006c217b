//! Watches the folder of advisories; on a change, loads it and matches all known images again.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bus::Publisher;
use schemas::build::v1::FindingsChanged;

use crate::advisories::{Advisories, Fingerprint};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::pipeline::TOLD_WITHIN;
use crate::rematch::{Rematched, rematch_in_groups};
use crate::store::{KnownImage, Store};
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
        let mut is_told = self.rematch().await?;
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
                is_told = false;
            }
            if !is_told {
                is_told = self.rematch().await?;
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
        let before = self.advisories.load();
        if advisories.is_broken() && !before.is_broken() && !before.is_empty() {
            tracing::error!(database = before.name(), "a database cannot be used, the one before stays in force");
            return Ok(());
        }
        self.advisories.store(Arc::new(advisories));
        self.metrics.advisories_loaded.inc();
        Ok(())
    }

    /// Whether everything that changed was told. A change is kept only when the bus has it, so nothing is lost with this process.
    async fn rematch(&self) -> anyhow::Result<bool> {
        let (store, advisories) = (self.store.clone(), self.advisories.load_full());
        let (publisher, metrics) = (self.publisher.clone(), self.metrics.clone());
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            let tell = |image: &KnownImage, change: FindingsChanged| {
                let outgoing = wire::changed(&image.image, change, service::now());
                let published = runtime.block_on(publisher.publish(outgoing));
                if let Err(error) = &published {
                    tracing::error!(image = image.image, %error, "changed findings are not published");
                }
                published.is_ok()
            };
            let has_all = || {
                let has_all = runtime.block_on(publisher.flush(TOLD_WITHIN));
                if !has_all {
                    tracing::error!("the bus has not acknowledged changed findings within {TOLD_WITHIN:?}");
                }
                has_all
            };
            rematch_in_groups(&store, &advisories, tell, has_all)
        };
        match tokio::task::spawn_blocking(work).await? {
            Ok(done) => {
                let Rematched { images, matched, changed, untold } = done;
                metrics.changed.inc_by(changed);
                tracing::info!(images, matched, changed, untold, "known images matched again");
                Ok(untold == 0)
            }
            Err(error) => {
                tracing::error!(%error, "not all known images were matched again");
                Ok(false)
            }
        }
    }
}
