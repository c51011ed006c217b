//! The console's pages: plain HTML made here, no script and nothing from elsewhere. Every text is escaped.

use std::fmt::Write as _;

use model::Severity;
use schemas::incident::v1::{Incident, Status};

/// All incidents, the latest first.
pub(crate) fn list(incidents: &[Incident]) -> String {
    let mut body = String::from("<h1>Incidents</h1>");
    if incidents.is_empty() {
        body.push_str("<p class=empty>None so far.</p>");
        return document("Incidents", &body);
    }
    body.push_str("<table><thead><tr><th>Severity<th>Score<th>What<th>Who<th>Phases<th>Last evidence<th>Status</tr></thead><tbody>");
    for incident in incidents {
        let phases: Vec<&str> = incident.phases.iter().map(|phase| phase.as_str()).collect();
        // Writing to a String never fails.
        let _ = write!(
            body,
            "<tr><td>{}<td class=number>{:.1}<td><a href=\"/incidents/{}\">{}</a><td>{}<td>{}<td><time>{}</time><td>{}</tr>",
            badge(incident.severity),
            incident.score,
            escape(incident.id.as_str()),
            escape(&incident.title),
            escape(&who(incident)),
            escape(&phases.join(" → ")),
            escape(&short(&incident.last_time.to_string())),
            status(incident.status),
        );
    }
    body.push_str("</tbody></table>");
    document("Incidents", &body)
}

/// One incident with its timeline.
pub(crate) fn incident(incident: &Incident) -> String {
    let mut body = format!(
        "<p><a href=\"/\">All incidents</a></p><h1>{}</h1><p>{} {} · score {:.1} · rule <code>{}</code> · <code>{}</code>, revision {}</p>",
        escape(&incident.title),
        badge(incident.severity),
        status(incident.status),
        incident.score,
        escape(&incident.rule),
        escape(incident.id.as_str()),
        incident.revision,
    );
    body.push_str("<h2>Timeline</h2><ol class=timeline>");
    for piece in &incident.timeline {
        let _ = write!(
            body,
            "<li class=\"{phase}\"><time>{}</time> <span class=phase>{phase}</span> <code>{}</code><p>{}</p></li>",
            escape(&short(&piece.time.to_string())),
            escape(&piece.event_type),
            escape(&piece.summary),
            phase = piece.phase.as_str(),
        );
    }
    body.push_str("</ol>");
    if incident.evidence_omitted > 0 {
        let _ = write!(body, "<p class=empty>{} more pieces of evidence are not shown.</p>", incident.evidence_omitted);
    }
    body.push_str("<h2>Who</h2><table class=facts><tbody>");
    for (name, value) in identities(incident) {
        let _ = write!(body, "<tr><th>{}<td>{}</tr>", escape(name), escape(&value));
    }
    body.push_str("</tbody></table><h2>Why this score</h2><table class=facts><tbody>");
    for factor in &incident.factors {
        let _ = write!(body, "<tr><th>{}<td class=number>× {:.2}</tr>", escape(&factor.name), factor.weight);
    }
    body.push_str("</tbody></table>");
    let _ = write!(
        body,
        "<p>Techniques: {}. Responses: {}.</p>",
        escape(&or_none(&incident.tags)),
        escape(&or_none(&incident.responses))
    );
    document(&incident.title, &body)
}

/// There is no such incident.
pub(crate) fn missing() -> String {
    document("Not found", "<h1>No such incident</h1><p><a href=\"/\">All incidents</a></p>")
}

fn identities(incident: &Incident) -> Vec<(&'static str, String)> {
    let identity = &incident.identity;
    let secrets = identity
        .secrets
        .iter()
        .map(|secret| ("secret", format!("{} {} version {}", secret.store, secret.path, secret.version)));
    let known = [
        ("image", identity.image.clone()),
        ("image digest", identity.image_digest.as_ref().map(ToString::to_string)),
        ("admission", identity.admission_id.as_ref().map(ToString::to_string)),
        ("namespace", identity.namespace.clone()),
        ("pod", identity.pod_name.clone()),
        ("pod uid", identity.pod_uid.as_ref().map(ToString::to_string)),
        ("workload", identity.workload.as_ref().map(ToString::to_string)),
        ("service account", identity.service_account.clone()),
        ("container", identity.container_name.clone()),
        ("container id", identity.container_id.as_ref().map(ToString::to_string)),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name, value?))).chain(secrets).collect()
}

fn who(incident: &Incident) -> String {
    let identity = &incident.identity;
    let name =
        identity.pod_name.clone().or(identity.workload.as_ref().map(ToString::to_string)).or(identity.image.clone());
    let name = name.or(identity.pod_uid.as_ref().map(ToString::to_string)).unwrap_or_default();
    identity.namespace.as_ref().map_or(name.clone(), |namespace| format!("{namespace}/{name}"))
}

fn badge(severity: Severity) -> String {
    format!("<span class=\"badge {}\">{severity}</span>", severity.as_token())
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Open => "<b>open</b>",
        Status::Resolved => "resolved",
        Status::Other => "other",
    }
}

fn or_none(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// A time to the millisecond: `2026-01-31 12:00:00.123`.
fn short(time: &str) -> String {
    time.replace('T', " ").chars().take(23).collect()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width, initial-scale=1\"><meta http-equiv=refresh content=5><title>{} · biotope</title><style>{STYLE}</style></head><body><header><a href=\"/\">biotope</a></header><main>{body}</main></body></html>",
        escape(title)
    )
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --dim: #777; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; }
header { padding: .7rem 1.5rem; border-bottom: 1px solid var(--line); font-weight: 700; }
header a, td a { color: inherit; }
main { max-width: 72rem; margin: 0 auto; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
.facts th { width: 16rem; font-weight: 400; color: var(--dim); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.badge { padding: .1rem .5rem; border-radius: .3rem; font-size: .8rem; font-weight: 700; color: #fff; background: #666; }
.critical { background: #a3123a; } .high { background: #b8480b; } .medium { background: #8a6d00; } .low { background: #2d6a8f; }
.timeline { list-style: none; padding: 0; border-left: 3px solid var(--line); }
.timeline li { padding: .3rem 0 .3rem 1rem; margin-left: -3px; border-left: 3px solid transparent; }
.timeline p { margin: .1rem 0 .4rem; overflow-wrap: anywhere; }
.timeline time, .timeline code, .empty { color: var(--dim); }
.phase { font-weight: 700; }
.build { border-color: #5b8def !important; } .deploy { border-color: #8e6bd1 !important; } .start { border-color: #d19a2a !important; } .run { border-color: #d1435b !important; }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_everything() {
        assert_eq!(escape("<a href='x' id=\"y\">&"), "&lt;a href=&#39;x&#39; id=&quot;y&quot;&gt;&amp;");
    }
}
