//! `biotope doctor`: what is there, what is missing, what cures it.

use std::path::Path;
use std::process::ExitCode;

use model::Fault;
use parts::Tool;
use serde::Serialize;

use crate::args::{Connection, Output};
use crate::platform::{Addresses, SERVICES, http_get};
use crate::print;

/// One finding about this machine or the platform.
#[derive(Debug, Serialize)]
struct Line {
    part: String,
    good: bool,
    state: String,
    cure: String,
}

/// Looks at everything and prints one line each. Exits 1 when something is missing.
pub(crate) async fn doctor(connection: &Connection, output: Output) -> anyhow::Result<ExitCode> {
    let mut lines = machine();
    let mut faults = Vec::new();
    match Addresses::read(&connection.folder) {
        Ok(addresses) => {
            lines.push(bus(&addresses).await);
            services(&addresses, &mut lines, &mut faults);
        }
        Err(error) => lines.push(Line {
            part: "platform".to_owned(),
            good: false,
            state: "not running".to_owned(),
            cure: error.to_string(),
        }),
    }
    match output {
        Output::Json => print::json(&serde_json::json!({ "parts": lines, "set_aside": faults }))?,
        Output::Table => {
            let mut table = print::table(&["Part", "", "State", "Cure"]);
            for line in &lines {
                table.add_row([line.part.as_str(), if line.good { "ok" } else { "!!" }, &line.state, &line.cure]);
            }
            table.print();
            for fault in &faults {
                print::line(fault);
            }
        }
    }
    Ok(if lines.iter().all(|line| line.good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn machine() -> Vec<Line> {
    let mut lines: Vec<Line> = Tool::ALL
        .into_iter()
        .map(|tool| match parts::find(tool) {
            Ok(path) => Line {
                part: tool.program().to_owned(),
                good: true,
                state: path.display().to_string(),
                cure: String::new(),
            },
            Err(missing) => Line {
                part: tool.program().to_owned(),
                good: false,
                state: "not installed".to_owned(),
                cure: missing.tool.remedy().to_owned(),
            },
        })
        .collect();
    let check = |part: &str, good: bool, state: &str, cure: &str| Line {
        part: part.to_owned(),
        good,
        state: state.to_owned(),
        cure: if good { String::new() } else { cure.to_owned() },
    };
    let has_btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    lines.push(check(
        "kernel BTF",
        has_btf,
        "/sys/kernel/btf/vmlinux",
        "use a kernel of 5.8 or later with CONFIG_DEBUG_INFO_BTF; until then the sensor plays recordings",
    ));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0);
    let can_bpf = effective & (1 << 39) != 0 && effective & (1 << 38) != 0 || effective & (1 << 21) != 0;
    lines.push(check(
        "BPF rights",
        can_bpf,
        if can_bpf { "CAP_BPF and CAP_PERFMON" } else { "missing" },
        "run as root, or with CAP_BPF and CAP_PERFMON; until then the sensor plays recordings",
    ));
    lines
}

async fn bus(addresses: &Addresses) -> Line {
    let part = "nats".to_owned();
    match crate::events::connect(addresses).await {
        Ok(_) => Line { part, good: true, state: addresses.nats.clone(), cure: String::new() },
        Err(error) => Line { part, good: false, state: "not reached".to_owned(), cure: service::reason(&error) },
    }
}

fn services(addresses: &Addresses, lines: &mut Vec<Line>, faults: &mut Vec<Fault>) {
    for service in SERVICES {
        let answer = addresses.admin.get(service).and_then(|address| http_get(address, "/ready"));
        let (good, state) = match &answer {
            Some((200, _)) => (true, "ready".to_owned()),
            Some((_, why)) => (false, why.trim().replace('\n', "; ")),
            None => (false, "does not answer".to_owned()),
        };
        let cure = if good { "" } else { "look at its log in the folder logs/, then start the platform again" };
        lines.push(Line { part: service.to_owned(), good, state, cure: cure.to_owned() });
        let body = addresses.admin.get(service).and_then(|address| http_get(address, "/faults")).map(|(_, body)| body);
        if let Some(found) = body.and_then(|body| serde_json::from_str::<Vec<Fault>>(&body).ok()) {
            faults.extend(found);
        }
    }
}
