//! Who may correlate: one process at a time, by a lease on the bus.
//!
//! All partitions are under one lease: one process owns them all when it is alone, and a second one stands by.

use std::time::Duration;

use bus::{Bus, Lease, LeaseError};
use service::Context;
use tokio::sync::watch;

/// Waits until this process has the lease, saying so while another has it. `None` when the service ends first.
///
/// `owner` is the name of the state that this process has open: a lease that a process before it left behind is taken over at once.
pub(crate) async fn acquire(context: &Context, bus: &Bus, owner: &str) -> Option<Lease> {
    let ready = context.readiness.part("lease");
    let mut said = String::new();
    loop {
        let why = match bus.lease_as(KEY, owner).await {
            Ok(lease) => {
                ready.ready();
                tracing::info!(revision = lease.revision(), "this correlator owns all partitions");
                return Some(lease);
            }
            Err(LeaseError::Held { by, .. }) => format!("standing by: {by} owns the partitions"),
            Err(error) => format!("{error}"),
        };
        if why != said {
            tracing::warn!(why, "not correlating yet");
            ready.waiting(why.as_str());
            said = why;
        }
        tokio::select! {
            () = context.shutdown.cancelled() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Keeps the lease until the service ends; `owned` turns false when it is not certain any more, and true again when it is. Ends with
/// an error when somebody else took it over.
pub(crate) async fn keep(
    context: Context,
    (bus, owner): (Bus, String),
    lease: Lease,
    owned: watch::Sender<bool>,
) -> anyhow::Result<()> {
    let mut lease = Some(lease);
    let mut renewed = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = context.shutdown.cancelled() => {
                if let Some(lease) = lease {
                    lease.release().await;
                }
                return Ok(());
            }
            () = tokio::time::sleep(RENEW) => {}
        }
        let asked = tokio::time::Instant::now();
        let kept = match lease.as_mut() {
            Some(lease) => lease.renew().await.is_ok(),
            None => false,
        };
        if kept {
            renewed = asked;
            continue;
        }
        match bus.lease_as(KEY, &owner).await {
            Ok(new) => {
                tracing::warn!(revision = new.revision(), "the lease was lost for a moment and is held again");
                (lease, renewed) = (Some(new), asked);
                owned.send_replace(true);
            }
            Err(LeaseError::Held { by, .. }) if by != bus.origin().source() => {
                owned.send_replace(false);
                anyhow::bail!("{by} took the partitions over while this correlator could not renew its lease");
            }
            Err(error) => {
                let is_over = renewed.elapsed() >= TTL;
                if is_over && *owned.borrow() {
                    tracing::warn!(%error, "the lease could not be renewed: correlation pauses");
                    owned.send_replace(false);
                }
            }
        }
    }
}

const KEY: &str = "correlator.all-partitions";
const RETRY: Duration = Duration::from_secs(1);
const RENEW: Duration = Duration::from_secs(4);
/// The server forgets a lease after this time; this side must stop before.
const TTL: Duration = Duration::from_secs(13);
