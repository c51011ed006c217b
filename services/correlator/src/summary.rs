//! One line for each event, as it stands in a timeline.

use model::{SecretRef, Severity};
use schemas::build::v1::{FindingsChanged, ImageScanned};
use schemas::deploy::v1::{AdmissionReviewed, Decision, PodCreated};
use schemas::run::v1::{ContainerStarted, PackageLoaded, Process, RuleMatched};
use schemas::start::v1::{SecretDelivered, SecretRotated};
use schemas::{AnyEvent, EventType};

use crate::wire::severity_of_priority;

/// An event in one line, and how bad it is by itself.
pub(crate) struct Told {
    pub(crate) line: String,
    pub(crate) severity: Severity,
}

pub(crate) fn of(event_type: EventType, event: &AnyEvent) -> Result<Told, serde_json::Error> {
    let mut severity = Severity::Unknown;
    let line = match event_type {
        EventType::AdmissionReviewed => reviewed(&data(event)?),
        EventType::PodCreated => created(&data(event)?, event),
        EventType::SecretDelivered => delivered(&data(event)?),
        EventType::SecretRotated => rotated(&data(event)?),
        EventType::ContainerStarted => started(&data(event)?, event),
        EventType::PackageLoaded => {
            let loaded: PackageLoaded = data(event)?;
            format!("{} used by {} of {}", loaded.purl, loaded.by, loaded.path)
        }
        EventType::RuleMatched => {
            let matched: RuleMatched = data(event)?;
            severity = severity_of_priority(&matched.alert.priority);
            alert(&matched)
        }
        other => other.path(),
    };
    Ok(Told { line: cut(line), severity })
}

fn data<D: serde::de::DeserializeOwned>(event: &AnyEvent) -> Result<D, serde_json::Error> {
    D::deserialize(&event.data)
}

pub(crate) fn scan(data: &ImageScanned) -> String {
    let counts = &data.counts;
    let worst: Vec<String> = data
        .findings
        .iter()
        .take(3)
        .map(|finding| {
            let fix = if finding.fixed_version.is_empty() {
                String::new()
            } else {
                format!(", fixed in {}", finding.fixed_version)
            };
            format!("{} {} in {} {}{fix}", finding.severity, finding.id, finding.package, finding.installed_version)
        })
        .collect();
    let found = format!("{} findings ({} critical, {} high)", counts.total(), counts.critical, counts.high);
    cut(format!("{}@{} scanned: {found}: {}", data.image, data.digest, worst.join("; ")))
}

pub(crate) fn change(reference: &str, data: &FindingsChanged) -> String {
    let (added, removed, changed) = (data.added.len(), data.removed.len(), data.changed.len());
    cut(format!(
        "{reference}@{}: findings changed, {added} new, {changed} judged otherwise, {removed} gone, {} in all",
        data.digest,
        data.counts.total()
    ))
}

fn reviewed(data: &AdmissionReviewed) -> String {
    let decision = match data.decision {
        Decision::Allow => "let in",
        Decision::Deny => "refused",
        Decision::Other => "reviewed",
    };
    let by_exception = data.results.iter().filter_map(|result| {
        result
            .exception
            .as_ref()
            .map(|exception| format!("under exception {exception} (policy {}, rule {})", result.policy, result.rule))
    });
    let failed = data
        .results
        .iter()
        .filter(|result| result.exception.is_none())
        .map(|result| format!("policy {}, rule {}: {}", result.policy, result.rule, result.message));
    let why: Vec<String> = by_exception.chain(failed).take(3).collect();
    let user = if data.user.is_empty() { String::new() } else { format!(" for {}", data.user) };
    format!("{} of {} {}/{}{user} {decision} {}", data.operation, data.kind, data.namespace, data.name, why.join("; "))
        .trim_end()
        .to_owned()
}

fn created(data: &PodCreated, event: &AnyEvent) -> String {
    let identity = &event.identity;
    let name = format!(
        "{}/{}",
        identity.namespace.as_deref().unwrap_or_default(),
        identity.pod_name.as_deref().unwrap_or_default()
    );
    let images: Vec<&str> = data.images.iter().map(|image| image.reference.as_str()).collect();
    let node = if data.node.is_empty() { String::new() } else { format!(" on {}", data.node) };
    format!("pod {name} created{node} with images {}, secrets {}", list(&images), list(&data.secrets))
}

fn delivered(data: &SecretDelivered) -> String {
    format!(
        "secret {}/{} handed to the pod by {}: {}",
        data.namespace,
        data.target,
        list(&data.by),
        sources(&data.sources)
    )
}

fn rotated(data: &SecretRotated) -> String {
    format!("secret {}/{} rotated: {}", data.namespace, data.target, sources(&data.sources))
}

fn started(data: &ContainerStarted, event: &AnyEvent) -> String {
    let name = event.identity.container_name.as_deref().or(event
        .identity
        .container_id
        .as_ref()
        .map(model::ContainerId::as_str));
    format!("container {} started {} from {}", name.unwrap_or("?"), data.process.exe, data.image)
}

/// Rule, what it said, and the process with its ancestors.
fn alert(data: &RuleMatched) -> String {
    let alert = &data.alert;
    let said = without_time(&alert.output, &alert.priority);
    // Most outputs begin with what their rule is called.
    let rule = if said.starts_with(&alert.rule) { String::new() } else { format!("{}: ", alert.rule) };
    let chain: Vec<String> = std::iter::once(&data.process).chain(&data.ancestors).take(6).map(process).collect();
    format!("{} {rule}{said} [{}]", alert.priority, chain.join(" < "))
}

/// An output without the time and the priority that Falco puts in front: the timeline has both beside it.
fn without_time<'a>(output: &'a str, priority: &str) -> &'a str {
    let rest = output.split_once(": ").filter(|(time, _)| time.starts_with(|c: char| c.is_ascii_digit()));
    rest.and_then(|(_, rest)| rest.strip_prefix(priority)).map_or(output, str::trim_start)
}

fn process(process: &Process) -> String {
    let name = if process.name.is_empty() { "?" } else { &process.name };
    format!("{name}({})", process.pid)
}

fn sources(sources: &[SecretRef]) -> String {
    let one = |source: &SecretRef| {
        let version = if source.version.is_empty() { String::new() } else { format!(" version {}", source.version) };
        format!("{} {}{version}", source.store, source.path)
    };
    sources.iter().take(4).map(one).collect::<Vec<_>>().join(", ")
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.iter().take(4).map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
    }
}

/// One line of at most [`MAX_CHARS`]; control characters, which could forge a log line, become spaces.
fn cut(line: String) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect()
}

const MAX_CHARS: usize = 600;

#[cfg(test)]
mod tests {
    use super::without_time;

    #[test]
    fn leaves_out_what_stands_beside() {
        assert_eq!(without_time("18:34:36.069163683: Notice Shell (a: b)", "Notice"), "Shell (a: b)");
        assert_eq!(without_time("Notice Shell: b", "Notice"), "Notice Shell: b");
        assert_eq!(without_time("12: other", "Notice"), "12: other");
    }
}
