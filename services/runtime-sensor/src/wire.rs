//! From what the sensor saw to events on the bus.

use bus::{Class, Outgoing, Publisher};
use model::{Identity, Timestamp};
use runtime_rules::{Priority, Rule};
use schemas::run::v1::{Alert, ContainerExited, ContainerStarted, EventsLost, Process as WireProcess, RuleMatched};
use schemas::{EventData, Token};

use crate::container::Container;
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
                    Some(priority) if priority <= Priority::Error => Class::High,
                    Some(priority) if priority <= Priority::Notice => Class::Normal,
                    _ => Class::Low,
                };
                self.publish(time, key, identity, (class, *data))
            }
            Said::Started(data) => self.publish(time, key, identity, (Class::Normal, data)),
            Said::Exited(data) => self.publish(time, key, identity, (Class::Low, data)),
            Said::Lost(data) => self.publish(time, key, identity, (Class::High, data)),
        }
    }

    fn publish<D: EventData>(
        &self,
        time: Timestamp,
        key: Token,
        identity: Identity,
        (class, data): (Class, D),
    ) -> Result<(), bus::PublishError> {
        let outgoing = Outgoing { time, key, identity, class, id: None, data };
        self.runtime.block_on(self.publisher.publish(outgoing)).map(drop)
    }
}

/// The alert of a rule for an event, in Falco's form.
pub(crate) fn alert(rule: &Rule, event: &Enriched<'_>) -> Alert {
    let clock = event.time.to_string();
    let clock = clock.split_once('T').map_or(clock.as_str(), |(_, clock)| clock.trim_end_matches('Z'));
    let mut output_fields = rule.output.values(event);
    output_fields.insert("evt.time".to_owned(), event.time.as_nanos().into());
    Alert {
        output: format!("{clock}: {} {}", rule.priority, rule.output.render(event)),
        priority: rule.priority.to_string(),
        rule: rule.name.clone(),
        source: "syscall".to_owned(),
        tags: rule.tags.clone(),
        time: event.time,
        hostname: event.hostname.to_owned(),
        output_fields,
    }
}

/// The event for a match.
pub(crate) fn matched(rule: &Rule, event: &Enriched<'_>) -> RuleMatched {
    RuleMatched {
        alert: alert(rule, event),
        event: event.name.to_owned(),
        process: process(event.process),
        ancestors: event.ancestors.iter().take(8).map(|ancestor| process(ancestor)).collect(),
    }
}

/// A process as events carry it.
pub(crate) fn process(process: &Process) -> WireProcess {
    WireProcess {
        pid: process.pid,
        name: process.comm.clone(),
        exe: process.exe_path.clone(),
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
