//! `biotope incidents` and `biotope replay`: what the correlator found.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use schemas::incident::v1::{Incident, Status};

use crate::args::{Connection, Incidents, Output};
use crate::platform::Addresses;
use crate::print;

/// Lists, shows or watches.
pub(crate) async fn incidents(
    command: &Incidents,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let console = Console::of(connection)?;
    match command {
        Incidents::List { status } => {
            let incidents = console.incidents(status).await?;
            match output {
                Output::Json => print::json(&incidents)?,
                Output::Table => list(&incidents),
            }
        }
        Incidents::Show { id } => {
            let incidents = console.incidents("all").await?;
            let found = incidents.iter().find(|incident| incident.id.as_str().starts_with(id.as_str()));
            let incident = found.with_context(|| format!("no incident `{id}`: see `biotope incidents list`"))?;
            match output {
                Output::Json => print::json(incident)?,
                Output::Table => show(incident),
            }
        }
        Incidents::Watch => watch(&console, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Incidents that other rules would have opened over the stored events.
pub(crate) async fn replay(
    rules: &Path,
    since: Option<&str>,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let console = Console::of(connection)?;
    let text = std::fs::read_to_string(rules).with_context(|| format!("cannot read {}", rules.display()))?;
    let mut request = console.request(reqwest::Method::POST, "/api/replay")?.body(text);
    if let Some(since) = since {
        request = request.query(&[("since", since)]);
    }
    let answer = request.timeout(Duration::from_secs(600)).send().await.context("the correlator does not answer")?;
    let is_good = answer.status().is_success();
    let body: serde_json::Value = answer.json().await.context("the correlator's answer is malformed")?;
    anyhow::ensure!(
        is_good,
        "the correlator refused: {}",
        body.get("error").and_then(|error| error.as_str()).unwrap_or("no reason given")
    );
    let incidents: Vec<Incident> = serde_json::from_value(body.get("incidents").cloned().unwrap_or(body))?;
    match output {
        Output::Json => print::json(&incidents)?,
        Output::Table => list(&incidents),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where incidents are asked for.
#[derive(Debug)]
pub(crate) struct Console {
    url: String,
    token: Option<String>,
}

impl Console {
    /// The console of a platform on this machine.
    pub(crate) fn local(addresses: &Addresses) -> Self {
        Self { url: format!("http://{}", addresses.console), token: None }
    }

    fn of(connection: &Connection) -> anyhow::Result<Self> {
        let Some(url) = &connection.console else { return Ok(Self::local(&Addresses::read(&connection.folder)?)) };
        let read = |file: &std::path::PathBuf| {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
            text.map(|text| text.trim().to_owned())
        };
        let token = connection.console_token_file.as_ref().map(read).transpose()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), token })
    }

    fn request(&self, method: reqwest::Method, path: &str) -> anyhow::Result<reqwest::RequestBuilder> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        let request = client.request(method, format!("{}{path}", self.url));
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// The incidents of a platform, newest first.
    pub(crate) async fn incidents(&self, status: &str) -> anyhow::Result<Vec<Incident>> {
        let request = self.request(reqwest::Method::GET, "/api/incidents")?;
        let answer = request
            .query(&[("status", status), ("limit", "1000")])
            .send()
            .await
            .context("the correlator does not answer: is the platform still running? see `biotope doctor`")?;
        anyhow::ensure!(answer.status().is_success(), "the correlator refused: {}", reason(answer).await);
        answer.json().await.context("the correlator's answer is malformed")
    }
}

/// What a refusal says, in one line.
async fn reason(answer: reqwest::Response) -> String {
    let status = answer.status();
    let body: serde_json::Value = answer.json().await.unwrap_or_default();
    let said = body.get("error").and_then(|error| error.as_str()).map(str::to_owned);
    let cure = if status == reqwest::StatusCode::UNAUTHORIZED { " (--console-token-file)" } else { "" };
    format!("{}{cure}", said.unwrap_or_else(|| status.to_string()))
}

async fn watch(console: &Console, output: Output) -> anyhow::Result<()> {
    let mut seen = std::collections::HashMap::new();
    loop {
        for incident in console.incidents("all").await? {
            if seen.insert(incident.id.clone(), incident.revision) != Some(incident.revision) {
                match output {
                    Output::Json => print::json_line(&incident)?,
                    Output::Table => print::line(format!(
                        "{} {} {} {} {}",
                        incident.last_time,
                        status(&incident),
                        incident.severity,
                        short(&incident),
                        incident.title
                    )),
                }
            }
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

fn list(incidents: &[Incident]) {
    if incidents.is_empty() {
        print::line("no incidents");
        return;
    }
    let mut table = print::table(&["Id", "Severity", "Status", "Score", "Rule", "Pod", "Last evidence", "Title"]);
    for incident in incidents {
        let cell = |text: String| comfy_table::Cell::new(text);
        let pod = incident.identity.pod_name.clone().unwrap_or_default();
        table.add_row([
            cell(short(incident)),
            print::severity(incident.severity),
            cell(status(incident).to_owned()),
            cell(format!("{:.0}", incident.score)),
            cell(incident.rule.clone()),
            cell(pod),
            cell(incident.last_time.to_string().chars().take(19).collect()),
            cell(incident.title.clone()),
        ]);
    }
    table.print();
}

/// One incident: head, identities, timeline.
pub(crate) fn show(incident: &Incident) {
    let identity = &incident.identity;
    print::line(format!(
        "incident {} [{} {}] score {:.0}",
        incident.id,
        incident.severity,
        status(incident),
        incident.score
    ));
    print::line(format!("  {}", incident.title));
    print::line(format!("  rule {}  revision {}  tags {}", incident.rule, incident.revision, incident.tags.join(" ")));
    let rows = [
        (
            "pod",
            identity.pod_name.clone().map(|name| format!("{}/{name}", identity.namespace.clone().unwrap_or_default())),
        ),
        ("pod uid", identity.pod_uid.as_ref().map(ToString::to_string)),
        ("image", identity.image.clone()),
        ("digest", identity.image_digest.as_ref().map(ToString::to_string)),
        ("admission", identity.admission_id.as_ref().map(ToString::to_string)),
        ("container", identity.container_id.as_ref().map(ToString::to_string)),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            print::line(format!("  {name:<10} {value}"));
        }
    }
    for secret in &identity.secrets {
        print::line(format!("  {:<10} {} {} version {}", "secret", secret.store, secret.path, secret.version));
    }
    let mut table = print::table(&["Time", "Phase", "Event", "What happened"]);
    for evidence in &incident.timeline {
        table.add_row([
            evidence.time.to_string(),
            evidence.phase.to_string(),
            evidence.event_type.clone(),
            evidence.summary.clone(),
        ]);
    }
    table.print();
}

fn status(incident: &Incident) -> &'static str {
    match incident.status {
        Status::Open => "open",
        Status::Resolved => "resolved",
        Status::Other => "other",
    }
}

fn short(incident: &Incident) -> String {
    incident.id.as_str().chars().take(12).collect()
}
