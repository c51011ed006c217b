//! Whether the incident is the one that was planted.

use schemas::Phase;
use schemas::incident::v1::Incident;

use super::story::Planted;

/// Everything that is wrong with what the platform found; empty when it is right.
pub(crate) fn check(planted: &Planted, incidents: &[Incident]) -> Vec<String> {
    let mut wrong = Vec::new();
    let [incident] = incidents else {
        wrong.push(format!(
            "there are {} incidents instead of one: {:?}",
            incidents.len(),
            incidents.iter().map(|incident| &incident.rule).collect::<Vec<_>>()
        ));
        return wrong;
    };
    let identity = &incident.identity;
    let text = |value: Option<&dyn ToString>| value.map(ToString::to_string).unwrap_or_default();
    let mut same = |what: &str, expected: &str, got: String| {
        if expected != got {
            wrong.push(format!("{what} is `{got}` instead of `{expected}`"));
        }
    };
    same("image digest", &planted.digest, text(identity.image_digest.as_ref().map(|digest| digest as &dyn ToString)));
    same("pod uid", &planted.pod_uid, text(identity.pod_uid.as_ref().map(|uid| uid as &dyn ToString)));
    same("container id", &planted.container_id, text(identity.container_id.as_ref().map(|id| id as &dyn ToString)));
    same("admission id", &planted.admission_id, text(identity.admission_id.as_ref().map(|id| id as &dyn ToString)));
    for phase in [Phase::Build, Phase::Deploy, Phase::Start, Phase::Run] {
        if !incident.phases.contains(&phase) || !incident.timeline.iter().any(|evidence| evidence.phase == phase) {
            wrong.push(format!("the {phase} phase has no evidence"));
        }
    }
    if !identity
        .secrets
        .iter()
        .any(|secret| secret.path == planted.secret_path && secret.version == planted.secret_version)
    {
        wrong.push(format!(
            "secret {} version {} is not named: {:?}",
            planted.secret_path, planted.secret_version, identity.secrets
        ));
    }
    let told: String =
        incident.timeline.iter().map(|evidence| format!("{} {}\n", evidence.event_type, evidence.summary)).collect();
    for (what, needle) in [
        ("the advisory", "CVE-2021-33503"),
        ("the exception", "shop/web-runs-as-root"),
        ("the sensitive file", "/etc/shadow"),
        ("the shell", "Shell spawned"),
        ("the connection", planted.connection.as_str()),
    ] {
        if !told.contains(needle) {
            wrong.push(format!("{what} (`{needle}`) is not in the timeline"));
        }
    }
    wrong
}
