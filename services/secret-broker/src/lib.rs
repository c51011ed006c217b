//! The secret broker: fetches what External Secrets manifests ask for, writes it where workloads read it, and says who holds what.
//!
//! ```text
//! manifests/ --folder--> ManifestSet --+
//! stores (vault, openbao) --versions---+--> machine (engine) --> targets/ (values, 0600), start.secret.synced | rotated | ...
//! pods/      --folder--> references ---+--> start.secret.delivered, keyed by pod
//! or all of it from and to a cluster
//! ```
//!
//! Values stay in this process and in the targets: events, logs, metrics and errors carry names, versions and keyed hashes.

mod cluster;
mod config;
mod connection;
mod credentials;
mod feed;
mod holders;
mod home;
mod manifests;
mod memory;
mod metrics;
mod pipeline;
mod preview;
mod provider;
mod reconciler;
mod responses;
mod rotate;
mod target;
mod template;
mod wire;

use std::time::Duration;

use anyhow::Context as _;
use service::Context;

use crate::home::Home;

pub use config::{Config, CredentialSource, KubernetesConfig};
pub use preview::{Preview, as_yaml, preview};

/// Starts the broker: ready once the bus is reached, the manifests are read and, if there are any, a store has answered.
///
/// # Errors
/// When the bus, the folder of targets or the key of hashes cannot be used.
pub async fn start(context: Context, config: Config) -> anyhow::Result<()> {
    memory::keep_private();
    let hash_key = credentials::hash_key(&config.state).context("cannot prepare the key of hashes")?;
    let home = match &config.kubernetes {
        Some(settings) => Home::Cluster(Box::new(cluster::Home::open(settings, identity(&context)).await?)),
        None => Home::folders(&config)?,
    };
    let bus = context.connect_bus().await?;
    let publisher = context.publisher(&bus)?;
    let mut home = home;
    let (work, worked) = tokio::sync::watch::channel(std::sync::Arc::default());
    let watching = worked.clone();
    let (told, tales) = tokio::sync::mpsc::channel(EVENTS);
    let delivered = reconciler::Delivered::default();
    let (place, rights, version) = home.reconciled(work);
    let metrics = metrics::Metrics::register(&context);
    let leading = home.stand(&context, &metrics);
    let (changed, changes) = tokio::sync::mpsc::channel(EVENTS);
    let feed = feed::Feed::default();
    if let Some(address) = &config.audit_address {
        let listening = feed.listen(&context, address, changed).await;
        listening.with_context(|| format!("cannot listen on service.audit_address {address}"))?;
    }
    let pool = provider::Pool::new(provider::Means {
        credentials: credentials::Vault::new(config.credentials.clone()),
        metrics: metrics.clone(),
        feed: feed.clone(),
        timeout: Duration::from_secs(config.store_timeout_s),
        look: Duration::from_millis(config.check_interval_ms),
    });
    let reconciler = reconciler::Reconciler::new(
        (place, rights),
        (&config, &hash_key, pool.clone()),
        (worked, delivered.clone(), told),
        &version,
    );
    let (events, inbox) = tokio::sync::mpsc::channel(EVENTS);
    let (commands, commanded) = tokio::sync::mpsc::channel(rotate::COMMANDS);
    rotate::listen(&context, &bus, (commands, leading.clone()));
    let asking = bus.clone();
    service::respond(&context, (&bus, &publisher), responses::KINDS, move |order| {
        responses::obey(order, asking.clone())
    });
    let beside = pipeline::Beside { delivered, tales, work: watching, changes, leading: leading.clone(), feed, pool };
    let pipeline = pipeline::Pipeline::new(&context, (config, hash_key, metrics), (home, publisher, beside), events);
    context.spawn_vital("sync", pipeline.run(inbox, commanded));
    context.spawn_vital("reconcile", reconciler.run(context.clone(), leading));
    Ok(())
}

/// Who stands for the lease: no other process has this name, and a person sees which pod it is.
fn identity(context: &Context) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{}", host.trim(), context.origin.instance)
}

/// Answers of stores that may wait; more than reads run at once.
const EVENTS: usize = 8_192;
