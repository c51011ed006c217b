//! The way out: to the bus where there is one, and to the channels of the settings.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bus::{Outgoing, Publisher};
use model::{Identity, Timestamp};
use runtime_rules::{Alert, AlertOptions, LostEvents, Priority, RateLimit, Rule, Verdict};
use schemas::run::v1::{ContainerExited, ContainerStarted, EventsLost, PackageLoaded, RuleMatched};
use schemas::{EventData, Token};

use crate::config::{Config, Drops};
use crate::decode::Class;
use crate::enrich::Enriched;
use crate::outputs::{Channels, Surroundings};
use crate::wire;

/// What the sensor has to say.
#[derive(Debug)]
pub(crate) enum Said {
    Matched(Box<Matched>),
    Started(ContainerStarted),
    Exited(ContainerExited),
    Loaded(PackageLoaded),
    Lost(EventsLost),
}

/// A match, as the bus and as the channels want it.
#[derive(Debug)]
pub(crate) struct Matched {
    event: Option<RuleMatched>,
    alert: Option<Alert>,
}

/// The way out. The event thread is not async; it waits here when the publisher has no room, and the kernel counts what it drops.
#[derive(Debug)]
pub(crate) struct Out {
    publisher: Option<Publisher>,
    runtime: tokio::runtime::Handle,
    channels: Channels,
    options: AlertOptions,
    drops: Drops,
    drop_alerts: RefCell<RateLimit>,
    hostname: String,
}

impl Out {
    /// Opens the channels of the settings beside the publisher.
    ///
    /// # Errors
    /// Names the channel that cannot be used.
    pub(crate) fn new(
        config: &Config,
        publisher: Option<Publisher>,
        surroundings: &Surroundings,
        hostname: String,
    ) -> anyhow::Result<Self> {
        let drops = config.syscall_event_drops.clone();
        Ok(Self {
            publisher,
            runtime: surroundings.runtime.clone(),
            channels: Channels::open(&config.alerts, surroundings)?,
            options: config.alerts.options(),
            drop_alerts: RefCell::new(RateLimit::new(drops.rate, drops.max_burst)),
            drops,
            hostname,
        })
    }

    /// What is to be said of a match: computed at once, while the event is there.
    pub(crate) fn matched(&self, rule: &Rule, event: &Enriched<'_>) -> Matched {
        let alert = |options| Alert::new(rule, event, event.hostname, options);
        Matched {
            event: self.publisher.is_some().then(|| wire::matched(alert(AlertOptions::default()), event)),
            alert: self.channels.are_open().then(|| alert(self.options)),
        }
    }

    /// Says it.
    ///
    /// # Errors
    /// When the publisher refuses it.
    pub(crate) fn say(
        &self,
        time: Timestamp,
        key: Token,
        identity: Identity,
        said: Said,
    ) -> Result<(), bus::PublishError> {
        match said {
            Said::Matched(matched) => {
                let Matched { event, alert } = *matched;
                if let Some(alert) = alert {
                    self.channels.send(alert);
                }
                event.map_or(Ok(()), |event| {
                    let class = match Priority::parse(&event.alert.priority) {
                        Some(priority) if priority <= Priority::Error => bus::Class::High,
                        Some(priority) if priority <= Priority::Notice => bus::Class::Normal,
                        _ => bus::Class::Low,
                    };
                    self.publish(time, key, identity, (class, event))
                })
            }
            Said::Started(data) => self.publish(time, key, identity, (bus::Class::Normal, data)),
            Said::Exited(data) => self.publish(time, key, identity, (bus::Class::Low, data)),
            Said::Loaded(data) => self.publish(time, key, identity, (bus::Class::Low, data)),
            Said::Lost(data) => {
                self.tell_lost(&data, time);
                self.publish(time, key, identity, (bus::Class::High, data))
            }
        }
    }

    /// Upstream's alert for lost events.
    fn tell_lost(&self, lost: &EventsLost, time: Timestamp) {
        let dropped: u64 = lost.lost.values().sum();
        let seen = lost.kept.saturating_add(dropped);
        let is_much = dropped as f64 > self.drops.threshold * seen as f64;
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or_default();
        if !self.drops.alert || !is_much || self.drop_alerts.borrow_mut().handle("", time_ns) == Verdict::Suppress {
            return;
        }
        let mut by_cause = BTreeMap::new();
        for class in Class::ALL {
            let count = lost.lost.get(class.as_str()).copied().unwrap_or_default();
            *by_cause.entry(class.cause().to_owned()).or_insert(0) += count;
        }
        let lost = LostEvents { seen, dropped, by_cause };
        self.channels.send(Alert::events_lost(&lost, time_ns, &self.hostname, self.options));
    }

    fn publish<D: EventData>(
        &self,
        time: Timestamp,
        key: Token,
        identity: Identity,
        (class, data): (bus::Class, D),
    ) -> Result<(), bus::PublishError> {
        let Some(publisher) = &self.publisher else { return Ok(()) };
        let outgoing = Outgoing { time, key, identity, class, id: None, data };
        self.runtime.block_on(publisher.publish(outgoing)).map(drop)
    }
}
