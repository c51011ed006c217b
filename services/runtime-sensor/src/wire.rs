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

/// Every identity that is known of a container.
pub(crate) fn identity(container: Option<&Container>, pod: Option<&Pod>, cgroup: u64) -> Identity {
    let Some(container) = container else { return Identity::default() };
    Identity {
        pod_uid: container.pod.clone(),
        container_id: Some(container.id.clone()),
        container_name: pod.and_then(|pod| pod.container_name.clone()),
        cgroup_id: Some(cgroup),
        ..pod.map(|pod| pod.identity.clone()).unwrap_or_default()
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
