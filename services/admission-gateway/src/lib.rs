//! The admission gateway: a webhook that judges by policies and by what the other phases know.
//!
//! ```text
//! AdmissionReview --webhook--> review: decode -> gather (memory only) -> decide (engine) -> answer + deploy.admission.reviewed
//! policies/  --folder--> PolicySet, swapped whole, deploy.policy.changed
//! registries --signatures--> who signed an image, verified within a deadline and kept
//! manifests/ --folder--> deploy.pod.created
//! the cluster, where there is one --cluster--> policies, facts, pods; its own webhooks registered
//! BIOTOPE_BUILD, BIOTOPE_INCIDENTS --facts--> snapshot in memory
//! ```

mod cluster;
mod config;
mod examine;
mod facts;
pub mod hostile;
mod manifests;
mod metrics;
mod policies;
mod responses;
mod review;
mod signatures;
mod tls;
mod webhook;

use anyhow::Context as _;
use service::Context;

pub use cluster::{LookUps, are_about, roles_of};
pub use config::{Config, KubernetesConfig, OnFault, Registration, ServiceReference};
pub use signatures::Signatures;

use crate::cluster::{Afterwards, Changes, Cleanup, Gatherer, Home, Means, Reach, Register, Reports};
use crate::facts::Facts;
use crate::manifests::Manifests;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::review::Reviewer;

/// Starts the gateway: ready once the bus is reached, the facts are read up to now, the policies are loaded and the webhook listens.
///
/// # Errors
/// When the bus, the certificates or the address cannot be used.
pub async fn start(context: Context, config: Config) -> anyhow::Result<()> {
    let metrics = Metrics::register(&context);
    if let Some(settings) = &config.kubernetes {
        cluster::share_authority(settings, &config.certificates).await.context("cannot share the authority")?;
    }
    let certificates = tls::load_or_make(&config).context("cannot prepare certificates")?;
    let bus = context.connect_bus().await?;
    let publisher = context.publisher(&bus)?;
    let facts = Facts::follow(&context, &bus);
    let reach = Reach::new(&config.http_blocklist, &config.http_allowlist)?;
    let home = match &config.kubernetes {
        Some(settings) => Some(cluster::start(&context, settings, &reach, (&facts, &publisher)).await?),
        None => None,
    };
    let texts = home.as_ref().map(|home| home.policies.clone());
    let policies = Policies::watch(&context, (&config.policies, texts), publisher.clone());
    let manifests = Manifests::watch(&context, config.manifests.as_deref(), facts.clone(), publisher.clone());
    let signatures = Signatures::new(&config).context("cannot prepare the verification of signatures")?;
    let within = std::time::Duration::from_millis(config.gather_within_ms);
    let means = home.as_ref().map(|home| home.cluster.clone());
    let signatures = signatures.with_secrets_of(means.clone());
    let gatherer = Gatherer::new(means.clone(), (signatures.clone(), reach), within);
    service::respond(&context, (&bus, &publisher), responses::KINDS, move |order| {
        responses::obey(order, means.clone())
    });
    let bindings = home.as_ref().map(|home| home.bindings.clone());
    let register = config.kubernetes.as_ref().and_then(|kubernetes| kubernetes.register.as_ref());
    let excluded = register.map(|register| register.excluded_namespaces.clone()).unwrap_or_default();
    let afterwards = home.as_ref().map(|home| {
        let means = (home.cluster.clone(), gatherer.clone());
        Afterwards::start(&context, means, (policies.clone(), facts.clone()), (&metrics, excluded.clone()))
    });
    if let Some(home) = &home {
        let cleanup = Cleanup {
            cluster: home.cluster.clone(),
            gatherer: gatherer.clone(),
            policies: policies.clone(),
            facts: facts.clone(),
            metrics: metrics.clone(),
            excluded,
        };
        cleanup.start(&context);
        cluster::keep_status(&context, (home.cluster.clone(), register.is_some()), policies.clone());
    }
    let means = Means { gatherer: gatherer.clone(), signatures: signatures.clone(), facts: facts.clone() };
    let changes = report(&context, (home.as_ref(), &config), means, (&policies, &metrics));
    let settings = config.clone();
    let reviewer = Reviewer {
        signatures,
        gatherer,
        bindings,
        afterwards,
        changes,
        policies,
        facts,
        manifests,
        publisher,
        metrics,
        bus,
        config: settings,
    };
    let authority = std::fs::read_to_string(config.certificates.join("ca.crt")).context("cannot read the authority")?;
    let address = webhook::serve(&context, &config, certificates, reviewer).await?;
    let register = config.kubernetes.and_then(|kubernetes| kubernetes.register);
    if let (Some(home), Some(settings)) = (home, register) {
        Register { cluster: home.cluster, settings, authority, address }.keep(&context);
    }
    Ok(())
}

/// Starts writing reports on what is in the cluster, unless that is switched off.
fn report(
    context: &Context,
    (home, config): (Option<&Home>, &Config),
    means: Means,
    (policies, metrics): (&Policies, &Metrics),
) -> Option<Changes> {
    let (home, settings) = (home?, config.kubernetes.as_ref()?);
    let interval = Some(settings.background_scan_interval_s).filter(|seconds| *seconds > 0)?;
    let reports = Reports {
        cluster: home.cluster.clone(),
        means,
        policies: policies.clone(),
        metrics: metrics.clone(),
        excluded: settings.register.as_ref().map(|register| register.excluded_namespaces.clone()).unwrap_or_default(),
        interval: std::time::Duration::from_secs(interval),
    };
    Some(reports.start(context))
}
