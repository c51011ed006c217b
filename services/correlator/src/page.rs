//! The console's pages: plain HTML made here, no script and nothing from elsewhere. Every text is escaped.

use std::fmt::Write as _;

use model::Severity;
use schemas::Phase;
use schemas::incident::v1::{Incident, Status};

/// All incidents, the latest first.
pub(crate) fn list(incidents: &[Incident]) -> String {
    let open = incidents.iter().filter(|incident| incident.status == Status::Open).count();
    let mut body = format!("<h1>Incidents</h1><p class=dim>{open} open, {} in all</p>", incidents.len());
    if incidents.is_empty() {
        body.push_str("<p class=empty>Nothing so far. Events are read; what they come to is shown here.</p>");
        return document("Incidents", &body);
    }
    body.push_str("<table class=list><thead><tr><th>Severity<th>Score<th>What<th>Who<th>Phases<th>Last evidence<th>Status</tr></thead><tbody>");
    for incident in incidents {
        // Writing to a String never fails.
        let _ = write!(
            body,
            "<tr class=\"{}\"><td>{}<td class=number>{:.0}<td><a href=\"/incidents/{}\">{}</a><div class=dim>{}</div><td>{}<td>{}<td class=time><time>{}</time><td>{}</tr>",
            incident.severity.as_token(),
            badge(incident.severity),
            incident.score,
            escape(incident.id.as_str()),
            escape(&incident.title),
            escape(&incident.rule),
            escape(&who(incident)),
            dots(incident),
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
        "<p><a href=\"/\">← All incidents</a></p><h1>{}</h1><p class=head>{} {} <span>score <b>{:.0}</b></span> <span>rule <code>{}</code></span> <span class=dim><code>{}</code>, revision {}</span></p>",
        escape(&incident.title),
        badge(incident.severity),
        status(incident.status),
        incident.score,
        escape(&incident.rule),
        escape(incident.id.as_str()),
        incident.revision,
    );
    body.push_str(&strip(incident));
    body.push_str("<div class=columns><section><h2>What happened</h2>");
    body.push_str(&timeline(incident));
    body.push_str("</section><aside><h2>Who</h2><dl>");
    for (name, value) in identities(incident) {
        let _ = write!(body, "<dt>{}<dd>{}", escape(name), escape(&value));
    }
    body.push_str("</dl><h2>Why this score</h2><dl class=factors>");
    for factor in &incident.factors {
        let _ = write!(body, "<dt>{}<dd>× {:.2}", escape(&factor.name), factor.weight);
    }
    let _ = write!(
        body,
        "</dl><h2>Techniques</h2><p>{}</p><h2>Responses that its rule asks for</h2><p>{}</p></aside></div>",
        chips(&incident.tags),
        chips(&incident.responses)
    );
    document(&incident.title, &body)
}

/// The four phases with the time of the first evidence of each.
fn strip(incident: &Incident) -> String {
    let mut strip = String::from("<ol class=strip>");
    for phase in PHASES {
        let first = incident.timeline.iter().find(|piece| piece.phase == phase);
        let (class, when) = match first {
            Some(piece) => (phase.as_str(), short(&piece.time.to_string())),
            None if incident.phases.contains(&phase) => (phase.as_str(), String::new()),
            None => ("none", "no evidence".to_owned()),
        };
        let _ = write!(strip, "<li class=\"{class}\"><b>{}</b><time>{}</time></li>", phase.as_str(), escape(&when));
    }
    strip.push_str("</ol>");
    strip
}

fn timeline(incident: &Incident) -> String {
    let mut list = String::from("<ol class=timeline>");
    for piece in &incident.timeline {
        let _ = write!(
            list,
            "<li class=\"{phase}\"><time>{}</time> <span class=phase>{phase}</span> <code>{}</code><p>{}</p></li>",
            escape(&short(&piece.time.to_string())),
            escape(&piece.event_type),
            escape(&piece.summary),
            phase = piece.phase.as_str(),
        );
    }
    list.push_str("</ol>");
    if incident.evidence_omitted > 0 {
        let _ = write!(list, "<p class=empty>{} more pieces of evidence are not shown.</p>", incident.evidence_omitted);
    }
    list
}

/// One dot for each phase, filled where it has evidence.
fn dots(incident: &Incident) -> String {
    let dot = |phase: &Phase| {
        let name = phase.as_str();
        let class = if incident.phases.contains(phase) { name } else { "none" };
        format!("<i class=\"dot {class}\" title=\"{name}\"></i>")
    };
    PHASES.iter().map(dot).collect()
}

fn chips(items: &[String]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(|item| format!("<span class=chip>{}</span> ", escape(item))).collect()
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
        Status::Open => "<span class=open>open</span>",
        Status::Resolved => "<span class=dim>resolved</span>",
        Status::Other => "<span class=dim>other</span>",
    }
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
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width, initial-scale=1\"><meta http-equiv=refresh content=5><title>{} · biotope</title><style>{STYLE}</style></head><body><header><a href=\"/\">biotope</a><span class=dim>build · deploy · start · run</span></header><main>{body}</main></body></html>",
        escape(title)
    )
}

const PHASES: [Phase; 4] = [Phase::Build, Phase::Deploy, Phase::Start, Phase::Run];

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_everything() {
        assert_eq!(escape("<a href='x' id=\"y\">&"), "&lt;a href=&#39;x&#39; id=&quot;y&quot;&gt;&amp;");
    }
}
