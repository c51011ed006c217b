//! From what the sensor saw to events on the bus.

use std::collections::BTreeMap;

use bus::{Outgoing, Publisher};
use model::{Identity, Timestamp};
use runtime_rules::{AlertOptions, LostEvents, Priority, Rule};
use schemas::run::v1::{Alert, ContainerExited, ContainerStarted, EventsLost, Process as WireProcess, RuleMatched};
use schemas::{EventData, Token};

use crate::container::Container;
use crate::decode::Class;
use crate::enrich::Enriched;
use crate::pods::Pod;
use crate::process::Process;

/// The way out. The event thread is not async; it waits here when the publisher has no room, and the kernel counts what it drops.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) publisher: Publisher,
    pub(crate) runtime: tokio::runtime::Handle,
}

/// What the sensor has to say.
#[derive(Debug)]
pub(crate) enum Said {
    Matched(Box<RuleMatched>),
    Started(ContainerStarted),
    Exited(ContainerExited),
    Lost(EventsLost),
}

impl Out {
    pub(crate) fn say(
        &self,
        time: Timestamp,
        key: Token,
        identity: Identity,
        said: Said,
    ) -> Result<(), bus::PublishError> {
        match said {
            Said::Matched(data) => {
                let class = match Priority::parse(&data.alert.priority) {
                    Some(priority) if priority <= Priority::Error => bus::Class::High,
                    Some(priority) if priority <= Priority::Notice => bus::Class::Normal,
                    _ => bus::Class::Low,
                };
                self.publish(time, key, identity, (class, *data))
            }
            Said::Started(data) => self.publish(time, key, identity, (bus::Class::Normal, data)),
            Said::Exited(data) => self.publish(time, key, identity, (bus::Class::Low, data)),
            Said::Lost(data) => self.publish(time, key, identity, (bus::Class::High, data)),
        }
    }

    fn publish<D: EventData>(
        &self,
        time: Timestamp,
        key: Token,
        identity: Identity,
        (class, data): (bus::Class, D),
    ) -> Result<(), bus::PublishError> {
        let outgoing = Outgoing { time, key, identity, class, id: None, data };
        self.runtime.block_on(self.publisher.publish(outgoing)).map(drop)
    }
}

/// The event for a match.
pub(crate) fn matched(rule: &Rule, event: &Enriched<'_>) -> RuleMatched {
    let alert = runtime_rules::Alert::new(rule, event, event.hostname, AlertOptions::default());
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

/// The alert as Falco prints it: one line of JSON, keys in order.
pub(crate) fn line(alert: &Alert) -> serde_json::Result<String> {
    let object: BTreeMap<String, serde_json::Value> = serde_json::from_value(serde_json::to_value(alert)?)?;
    serde_json::to_string(&object)
}

/// The line that Falco prints when events were lost.
pub(crate) fn lost_line(lost: &EventsLost, time: Timestamp, hostname: &str) -> String {
    let lost = LostEvents {
        seen: lost.kept.saturating_add(lost.lost.values().sum()),
        dropped: lost.lost.values().sum(),
        by_cause: Class::ALL.iter().fold(BTreeMap::new(), |mut causes, class| {
            let count = lost.lost.get(class.as_str()).copied().unwrap_or(0);
            *causes.entry(class.cause().to_owned()).or_insert(0) += count;
            causes
        }),
    };
    let time_ns = u64::try_from(time.as_nanos()).unwrap_or(0);
    runtime_rules::Alert::events_lost(&lost, time_ns, hostname, AlertOptions::default()).to_json()
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
