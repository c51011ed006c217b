//! From what the sensor saw to events on the bus.

use model::Identity;
use schemas::Token;
use schemas::run::v1::{Alert, Process as WireProcess, RuleMatched};

use crate::container::Container;
use crate::enrich::Enriched;
use crate::pods::Pod;
use crate::process::Process;

/// The event for a match.
pub(crate) fn matched(alert: runtime_rules::Alert, event: &Enriched<'_>) -> RuleMatched {
    RuleMatched {
        alert: Alert {
            output: alert.to_string(),
            priority: alert.priority.to_string(),
            rule: alert.rule,
            source: alert.source.to_owned(),
            tags: alert.tags.unwrap_or_default(),
            time: event.time,
            hostname: alert.hostname,
            output_fields: alert.output_fields,
        },
        event: event.name.to_owned(),
        process: process(event.process),
        ancestors: event.processes.ancestors(event.process).take(8).map(process).collect(),
    }
}

/// A process as events carry it.
pub(crate) fn process(process: &Process) -> WireProcess {
    WireProcess {
        pid: process.pid,
        name: process.comm.to_string(),
        exe: process.program.exe_path.clone(),
        cmdline: process.cmdline().chars().take(4096).collect(),
        uid: process.uid,
    }
}

/// Every identity that is known of a container: what its runtime says goes before what was announced of the pod.
pub(crate) fn identity(container: Option<&Container>, pod: Option<&Pod>, cgroup: u64) -> Identity {
    let Some(container) = container else { return Identity::default() };
    let announced = pod.map(|pod| pod.identity.clone()).unwrap_or_default();
    let told = container.facts.as_ref().map(|facts| facts.pod.identity.clone()).unwrap_or_default();
    Identity {
        pod_uid: container.pod.clone().or(told.pod_uid),
        pod_name: told.pod_name.or(announced.pod_name),
        namespace: told.namespace.or(announced.namespace),
        image: told.image.or(announced.image),
        image_digest: told.image_digest.or(announced.image_digest),
        container_id: Some(container.id.clone()),
        container_name: told.container_name.or_else(|| pod.and_then(|pod| pod.container_name.clone())),
        cgroup_id: Some(cgroup),
        ..announced
    }
}

/// The join key: the pod, else the container, else the node.
pub(crate) fn key(container: Option<&Container>, node: &str) -> Token {
    match container {
        Some(Container { pod: Some(pod), .. }) => Token::from(pod),
        Some(container) => Token::lossy(container.id.as_str()),
        None => Token::lossy(node),
    }
}
