//! `biotope secrets`: what was synced, who holds what, and what a manifest would make.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bus::From;
use comfy_table::Cell;
use model::{SecretRef, Timestamp};
use schemas::ask::{RotateOutcome, RotateReply, RotateRequest};
use schemas::start::v1::SecretDelivered;
use schemas::{AnyEvent, EventType};
use serde::Serialize;
use serde_json::Value;

use crate::args::{Connection, Output, Secrets};
use crate::platform::Addresses;
use crate::{events, print};

/// Runs one of the commands.
pub(crate) async fn secrets(command: &Secrets, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Secrets::List { connection } => {
            let known = Known::read(connection).await?;
            match output {
                Output::Json => print::json(&known.targets.values().collect::<Vec<_>>())?,
                Output::Table => known.list(),
            }
        }
        Secrets::Holders { path, connection } => {
            let known = Known::read(connection).await?;
            let holders = known.holders(path);
            match output {
                Output::Json => print::json(&holders)?,
                Output::Table => show_holders(path, &holders),
            }
        }
        Secrets::Rotate { store, path, reason, connection } => {
            return rotate(connection, (store, path, reason), output).await;
        }
        Secrets::Render { manifest, values } => return render(manifest, values, output),
    }
    Ok(ExitCode::SUCCESS)
}

/// What the events of the broker say.
#[derive(Debug, Default)]
struct Known {
    targets: BTreeMap<String, Target>,
    /// By pod and Secret: the last that was handed over.
    held: BTreeMap<(String, String), Held>,
}

/// One target.
#[derive(Clone, Debug, Serialize)]
struct Target {
    manifest: String,
    namespace: String,
    target: String,
    sources: Vec<SecretRef>,
    state: &'static str,
    reason: String,
    since: Timestamp,
}

/// What a pod was handed.
#[derive(Clone, Debug, Serialize)]
struct Held {
    pod: String,
    namespace: String,
    pod_uid: String,
    secret: String,
    sources: Vec<SecretRef>,
    by: Vec<String>,
    since: Timestamp,
    is_old: bool,
}

impl Known {
    /// Reads all events about secrets that are stored.
    async fn read(connection: &Connection) -> anyhow::Result<Self> {
        let addresses = Addresses::read(&connection.folder)?;
        let bus = events::connect(&addresses).await?;
        let filter = format!("biotope.v1.{}.start.secret.>", addresses.cluster);
        let (_, last) = bus.stream_bounds("BIOTOPE_EVENTS").await?;
        let mut cursor = bus.cursor("BIOTOPE_EVENTS", From::Beginning, vec![filter]);
        let mut known = Self::default();
        let mut at = 0;
        while at < last {
            let batch = cursor.next_batch(1_000, Duration::from_secs(1)).await;
            let Some(end) = batch.last() else { break };
            at = if end.pending == 0 { last } else { end.sequence };
            batch
                .iter()
                .filter_map(|stored| bus::decode_any(&stored.payload).ok())
                .for_each(|event| known.take(&event));
        }
        Ok(known)
    }

    fn take(&mut self, event: &AnyEvent) {
        let text = |name: &str| event.data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let state = match event.known_type() {
            Some(EventType::SecretSynced) => "synced",
            Some(EventType::SecretRotated) => "rotated",
            Some(EventType::SecretSyncFailed) => "failed",
            Some(EventType::SecretStale) => "stale",
            Some(EventType::SecretDelivered) => return self.deliver(event),
            _ => return,
        };
        let key = format!("{}/{}", text("namespace"), text("target"));
        let sources = event.data.get("sources").cloned().and_then(|sources| serde_json::from_value(sources).ok());
        // A failure does not say where the last good content came from: what is known stays.
        let before = self.targets.get(&key).map(|target| target.sources.clone());
        let target = Target {
            manifest: text("manifest"),
            namespace: text("namespace"),
            target: text("target"),
            sources: sources.or(before).unwrap_or_default(),
            state,
            reason: text("reason"),
            since: event.time,
        };
        self.targets.insert(key, target);
    }

    fn deliver(&mut self, event: &AnyEvent) {
        let Ok(data) = serde_json::from_value::<SecretDelivered>(event.data.clone()) else { return };
        let uid = event.identity.pod_uid.as_ref().map(ToString::to_string).unwrap_or_default();
        let held = Held {
            pod: event.identity.pod_name.clone().unwrap_or_else(|| uid.clone()),
            namespace: data.namespace.clone(),
            pod_uid: uid.clone(),
            secret: data.target.clone(),
            sources: data.sources,
            by: data.by,
            since: event.time,
            is_old: false,
        };
        self.held.insert((uid, format!("{}/{}", data.namespace, data.target)), held);
    }

    fn list(&self) {
        if self.targets.is_empty() {
            return print::line("no secrets");
        }
        let mut table = print::table(&["Secret", "State", "From", "Version", "Holders", "Since", "Reason"]);
        for (name, target) in &self.targets {
            let paths: Vec<String> = target.sources.iter().map(|source| source.path.clone()).collect();
            let versions: Vec<&str> = target.sources.iter().map(|source| source.version.as_str()).collect();
            let holders = self.held.keys().filter(|(_, secret)| secret == name).count();
            table.add_row([
                Cell::new(name),
                Cell::new(target.state),
                Cell::new(paths.join(", ")),
                Cell::new(versions.join(", ")),
                Cell::new(holders),
                Cell::new(target.since),
                Cell::new(&target.reason),
            ]);
        }
        table.print();
    }

    /// Pods that were handed something of `path`, or the Secret `namespace/name`.
    fn holders(&self, path: &str) -> Vec<Held> {
        let is_it = |held: &&Held| {
            format!("{}/{}", held.namespace, held.secret) == path
                || held.sources.iter().any(|source| source.path == path)
        };
        let with_age = |held: &Held| {
            let now = self.targets.get(&format!("{}/{}", held.namespace, held.secret));
            Held { is_old: now.is_some_and(|now| now.sources != held.sources), ..held.clone() }
        };
        self.held.values().filter(is_it).map(with_age).collect()
    }
}

fn show_holders(path: &str, holders: &[Held]) {
    if holders.is_empty() {
        return print::line(format!("nobody holds `{path}`, as far as events are stored"));
    }
    let mut table = print::table(&["Pod", "Secret", "Version", "Old", "By", "Since", "Uid"]);
    for held in holders {
        let versions: Vec<&str> = held.sources.iter().map(|source| source.version.as_str()).collect();
        table.add_row([
            Cell::new(format!("{}/{}", held.namespace, held.pod)),
            Cell::new(&held.secret),
            Cell::new(versions.join(", ")),
            Cell::new(if held.is_old { "yes" } else { "" }),
            Cell::new(held.by.join(", ")),
            Cell::new(held.since),
            Cell::new(&held.pod_uid),
        ]);
    }
    table.print();
}

async fn rotate(
    connection: &Connection,
    (store, path, reason): (&str, &str, &str),
    output: Output,
) -> anyhow::Result<ExitCode> {
    let addresses = Addresses::read(&connection.folder)?;
    let bus = events::connect(&addresses).await?;
    let request = RotateRequest { store: store.to_owned(), path: path.to_owned(), reason: reason.to_owned() };
    let limit = Duration::from_secs(120);
    let reply: RotateReply = bus.ask(("secret-broker", "rotate"), &request, limit).await?;
    match output {
        Output::Json => print::json(&reply)?,
        Output::Table => show_rotation(&reply),
    }
    for target in &reply.late {
        print::note(format!("{target} did not get the new version in time; the broker goes on with it"));
    }
    Ok(if reply.late.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn show_rotation(reply: &RotateReply) {
    let keys = reply.keys.join(", ");
    print::line(format!("version {} is in force, after {}: new values for {keys}", reply.version, reply.previous));
    if !reply.targets.is_empty() {
        print::line(format!("written to {}", reply.targets.join(", ")));
    }
    if reply.holders.is_empty() {
        return print::line("no pod is known to hold the version before");
    }
    let mut table = print::table(&["Pod", "Secret", "By", "Outcome", "Reason"]);
    for holder in &reply.holders {
        let name = if holder.name.is_empty() { holder.pod_uid.to_string() } else { holder.name.clone() };
        let outcome = match holder.outcome {
            RotateOutcome::Restarted => "restarted",
            RotateOutcome::Follows => "follows",
            RotateOutcome::Keeps => "keeps the old version",
        };
        table.add_row([
            Cell::new(format!("{}/{name}", holder.namespace)),
            Cell::new(&holder.target),
            Cell::new(holder.by.join(", ")),
            Cell::new(outcome),
            Cell::new(&holder.reason),
        ]);
    }
    table.print();
}

fn render(manifest: &Path, values: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let made = secret_broker::preview(&manifest.display().to_string(), &read(manifest)?, &read(values)?);
    for fault in &made.faults {
        print::note(fault);
    }
    match output {
        Output::Json => print::json(&made.secrets)?,
        Output::Table => {
            for secret in &made.secrets {
                print::line("---");
                print::line(secret_broker::as_yaml(secret));
            }
        }
    }
    Ok(if made.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
