//! The response to incidents that the broker has the means for: new versions of the secrets that a pod was handed.

use std::time::Duration;

use bus::Bus;
use schemas::ask::{RotateReply, RotateRequest};
use schemas::incident::v1::ResponseRequested;
use service::Order;

/// Kinds of responses.
pub(crate) const KINDS: &[&str] = &["rotate"];

/// Rotates every secret that the incident's pod holds, each as a person would ask for it. What was rotated stays so.
pub(crate) async fn obey(order: Order, bus: Bus) -> Result<String, String> {
    let Order::Respond(request) = order else { return Ok(String::new()) };
    if request.identity.secrets.is_empty() {
        return Err("the incident names no secret".to_owned());
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for wanted in wanted(&request) {
        let name = format!("{} {}", wanted.store, wanted.path);
        match bus.ask::<_, RotateReply>(("secret-broker", "rotate"), &wanted, PATIENCE).await {
            Ok(reply) => done.push(format!("{name} is now at version {}", reply.version)),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    let said = [done.as_slice(), failed.as_slice()].concat().join("; ");
    if failed.is_empty() { Ok(said) } else { Err(said) }
}

/// Each secret once, however many versions of it the pod was handed.
fn wanted(request: &ResponseRequested) -> Vec<RotateRequest> {
    let mut wanted: Vec<RotateRequest> = Vec::new();
    for secret in &request.identity.secrets {
        if wanted.iter().all(|other| (&other.store, &other.path) != (&secret.store, &secret.path)) {
            let reason = format!("incident {}", request.incident);
            wanted.push(RotateRequest { store: secret.store.clone(), path: secret.path.clone(), reason });
        }
    }
    wanted
}

/// How long a store, its targets and the restarts of holders may take.
const PATIENCE: Duration = Duration::from_secs(120);
