//! Alerts as upstream writes them, to every place that the settings name.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::parts::{self, Process, wait_until};

use crate::{alerts, rule, sensor};

/// A recording of a container in which a shell reads a password file and connects to the outside.
fn recording() -> PathBuf {
    testkit::corpus::workspace_root().join("cli/assets/demo.recording")
}

/// Two rules for the same event, the second more urgent, and one for another.
fn rules(folder: &Path) -> PathBuf {
    let file = folder.join("rules.yaml");
    let text = rule(
        "Read It",
        "evt.type in (open, openat) and fd.name = /etc/shadow",
        "file=%fd.name by %proc.name tty=%proc.tty of %fd.sip",
    ) + &rule("Again (read)", "evt.type in (open, openat) and fd.name = /etc/shadow", "again %evt.type")
        .replace("WARNING", "CRITICAL")
        + "  tags: [b, a]\n"
        + &rule("Ran", "evt.type = execve and proc.name = sh", "ran %proc.name").replace("WARNING", "INFO");
    fs::write(&file, text).unwrap();
    file
}

/// Plays the recording with settings, and gives what was printed.
fn play(folder: &Path, service: &str, arguments: &[&str]) -> String {
    let config = folder.join("config.yaml");
    fs::write(&config, format!("service:\n{service}")).unwrap();
    let mut command = sensor();
    command.arg("run").arg("--config").arg(config).arg("--replay").arg(recording());
    let output = command.arg("--rules").arg(rules(folder)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const STDOUT: &str = "  replay_as_now: false\n  alerts: { stdout_output: { enabled: true } }\n";

#[test]
fn a_json_alert_is_upstreams_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let printed = play(folder.path(), &format!("{STDOUT}  append_output: []\n"), &["--output", "json"]);
    let line = printed.lines().find(|line| line.contains("Read It")).unwrap();
    let alert: Value = serde_json::from_str(line).unwrap();
    let (time, fields) = (alert["time"].as_str().unwrap(), &alert["output_fields"]);
    let clock = time.split_once('T').unwrap().1.trim_end_matches('Z');
    let expected = format!(
        concat!(
            r#"{{"hostname":{},"output":"{}: Warning file=/etc/shadow by cat tty={} of <NA>","#,
            r#""output_fields":{{"evt.time":{},"fd.name":"/etc/shadow","fd.sip":null,"proc.name":"cat","proc.tty":{}}},"#,
            r#""priority":"Warning","rule":"Read It","source":"syscall","tags":[],"time":"{}"}}"#
        ),
        alert["hostname"], clock, fields["proc.tty"], fields["evt.time"], fields["proc.tty"], time
    );
    assert_eq!(line, expected);
}

#[test]
fn properties_can_be_left_out_and_text_has_either_time() {
    let folder = tempfile::tempdir().unwrap();
    let keys = |settings: &str| -> Vec<String> {
        let service = format!("  alerts: {{ stdout_output: {{ enabled: true }}, {settings} }}\n");
        let printed = play(folder.path(), &service, &["--output", "json", "--priority", "warning"]);
        alerts(&printed)[0].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        keys("json_include_message_property: true"),
        ["hostname", "message", "output", "output_fields", "priority", "rule", "source", "tags", "time"]
    );
    assert_eq!(
        keys(
            "json_include_output_property: false, json_include_output_fields_property: false, json_include_tags_property: false"
        ),
        ["hostname", "priority", "rule", "source", "time"]
    );
    let text = play(folder.path(), STDOUT, &["--output", "text", "--iso-time", "--rule-matching", "all"]);
    let again = text.lines().find(|line| line.contains("again")).unwrap();
    let (time, rest) = again.split_once(": ").unwrap();
    assert!(time.len() == "2026-01-01T13:53:31.726060287+0000".len() && time.ends_with("+0000"), "{again}");
    assert!(rest.starts_with("Critical again openat container_id="), "{again}");
    let text = play(folder.path(), STDOUT, &["--output", "text"]);
    let line = text.lines().find(|line| line.contains("Warning file=/etc/shadow")).unwrap();
    assert_eq!(line.split_once(": ").unwrap().0.len(), "13:53:31.726060287".len(), "{line}");
}

#[test]
fn matching_priority_rate_and_additions_follow_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let names = |settings: &str, arguments: &[&str]| -> Vec<String> {
        let printed = play(folder.path(), &format!("{STDOUT}{settings}"), &[&["--output", "json"], arguments].concat());
        alerts(&printed).iter().map(|alert| alert["rule"].as_str().unwrap().to_owned()).collect()
    };
    let count = |names: &[String], rule: &str| names.iter().filter(|name| *name == rule).count();
    let first = names("", &[]);
    assert_eq!((count(&first, "Read It"), count(&first, "Again (read)")), (1, 0));
    assert!(count(&first, "Ran") > 1, "{first:?}");
    let all = names("  rule_matching: all\n", &[]);
    assert_eq!((count(&all, "Read It"), count(&all, "Again (read)")), (1, 1));
    assert_eq!(names("", &["--priority", "Critical"]), ["Again (read)"]);
    assert_eq!(count(&names("  max_alerts_per_second: 1\n", &[]), "Ran"), 1, "a rule has a limit of its own");
    let append = concat!(
        "  append_output:\n",
        "    - match: { tags: [a] }\n      extra_output: by %proc.name\n",
        "      extra_fields: [proc.exepath, { who: '%proc.name and %proc.pname' }]\n",
    );
    let printed = play(folder.path(), &format!("{STDOUT}  rule_matching: all\n{append}"), &["--output", "json"]);
    let alerts = alerts(&printed);
    let of = |rule: &str| alerts.iter().find(|alert| alert["rule"] == rule).unwrap();
    assert!(of("Again (read)")["output"].as_str().unwrap().ends_with("Critical again openat by cat"));
    assert_eq!(of("Again (read)")["output_fields"]["who"], "cat and sh");
    assert_eq!(of("Again (read)")["output_fields"]["proc.exepath"], "/proc/self/exe");
    assert!(of("Read It")["output_fields"].get("who").is_none());
}

#[test]
fn files_programs_and_the_system_log_get_every_alert() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let log = UnixDatagram::bind(at("log")).unwrap();
    log.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for (keep_alive, buffered) in [(false, false), (true, true)] {
        let name = |kind: &str| at(&format!("{kind}-{keep_alive}"));
        let service = format!(
            concat!(
                "  append_output: []\n  alerts:\n    buffered_outputs: {buffered}\n    stdout_output: {{ enabled: true }}\n",
                "    file_output: {{ enabled: true, keep_alive: {keep_alive}, filename: {file} }}\n",
                "    program_output: {{ enabled: true, keep_alive: {keep_alive}, program: 'cat >> {program}' }}\n",
                "    syslog_output: {{ enabled: true, socket: {log} }}\n"
            ),
            buffered = buffered,
            keep_alive = keep_alive,
            file = name("file").display(),
            program = name("program").display(),
            log = at("log").display(),
        );
        let printed = play(folder.path(), &service, &["--output", "text", "--priority", "warning"]);
        assert_eq!(printed.lines().count(), 1, "{printed}");
        assert_eq!(fs::read_to_string(name("file")).unwrap(), printed);
        assert_eq!(fs::read_to_string(name("program")).unwrap(), printed);
        let mut datagram = [0; 1024];
        let length = log.recv(&mut datagram).unwrap();
        let said = std::str::from_utf8(&datagram[..length]).unwrap();
        assert!(said.starts_with("<12>biotope[") && said.ends_with(printed.trim_end()), "{said}");
    }
}

#[test]
fn an_http_server_gets_each_alert_and_one_that_is_away_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&request));
            request.extend(&bytes[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap()
    });
    let service = |url: &str| {
        format!(
            "  alerts: {{ json_output: true, stdout_output: {{ enabled: true }}, http_output: {{ enabled: true, url: '{url}', user_agent: falcosecurity/falco }} }}\n"
        )
    };
    let printed = play(folder.path(), &service(&url), &["--priority", "warning"]);
    let request = server.join().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/json") && head.contains("user-agent: falcosecurity/falco"),
        "{head}"
    );
    assert_eq!(body, printed.trim_end());
    let nobody = format!("http://127.0.0.1:{}/", parts::free_port().unwrap());
    assert_eq!(play(folder.path(), &service(&nobody), &["--priority", "warning"]).lines().count(), 1);
}

#[test]
fn the_platforms_sensor_has_upstreams_subject_and_metrics_too() {
    let Some(nats) = parts::nats() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let service = json!({
        "bus": { "servers": [nats.url()] },
        "admin": { "address_file": folder.path().join("address") },
        "service": {
            "rules": [rules(folder.path())], "source": "replay", "replay_file": recording(), "priority": "warning",
            "alerts": { "nats_output": { "enabled": true, "minimum_priority": "warning" } },
        },
    });
    // Who listens does so before anything is said, and gets what no stream stores.
    let address = nats.url().trim_start_matches("nats://").to_owned();
    let mut listener = std::net::TcpStream::connect(address).unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    listener.write_all(b"CONNECT {\"verbose\":false}\r\nSUB falco.> 1\r\nPING\r\n").unwrap();
    fs::write(&config, service.to_string()).unwrap();
    let mut command = sensor();
    command.arg("--config").arg(&config);
    let _sensor = Process::start("runtime-sensor", &mut command, &folder.path().join("out")).unwrap();
    let mut got = String::new();
    while !got.split_once("MSG ").is_some_and(|(_, message)| message.contains("}\r\n")) {
        let mut bytes = [0; 4096];
        let said = || fs::read_to_string(folder.path().join("out")).unwrap_or_default();
        let count = listener.read(&mut bytes).unwrap_or_else(|error| panic!("{error}: {got} {}", said()));
        assert!(count > 0, "{got} {}", said());
        got.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    let (subject, payload) = got.split_once("MSG ").unwrap().1.split_once("\r\n").unwrap();
    assert!(subject.starts_with("falco.warning.read_it 1 "), "{subject}");
    let text = payload.lines().next().unwrap();
    let payload: Value = serde_json::from_str(text).unwrap();
    assert_eq!(payload["uuid"].as_str().unwrap().len(), 36);
    let clock = payload["output"].as_str().unwrap().split_once(' ').unwrap().0;
    let escaped = |json: &Value| json.to_string().replace('<', r"\u003c").replace('>', r"\u003e");
    // Whole to the byte: falcosidekick's keys in its order, written as Go writes them.
    let expected = format!(
        concat!(
            r#"{{"uuid":{},"output":{},"priority":"Warning","rule":"Read It","time":{},"output_fields":{},"#,
            r#""source":"syscall","hostname":{}}}"#
        ),
        payload["uuid"],
        escaped(&payload["output"]),
        payload["time"],
        escaped(&payload["output_fields"]),
        payload["hostname"]
    );
    assert_eq!(text, expected);
    let begins = format!("{clock} Warning file=/etc/shadow by cat tty=");
    assert!(clock.len() == "13:53:31.726060287:".len() && text.contains(&begins), "{text}");
    let wanted = [
        r#"falcosecurity_falco_rules_matches_total{priority="4",rule_name="Read It",source="syscall"} 1"#,
        "falcosecurity_falco_version_info{version=",
        "falcosecurity_scap_n_evts_total",
        "falcosecurity_scap_n_drops_total 0",
        r#"falcosecurity_scap_n_drops_buffer_total{dir="exit",drop="execve"} 0"#,
        "falcosecurity_falco_outputs_queue_num_drops_total 0",
        r#"falcosecurity_falco_sha256_rules_files_info{file_name="rules.yaml",sha256=""#,
        "falcosecurity_falco_reload_timestamp_nanoseconds 1",
        "runtime_sensor_rules_matched_total",
    ];
    let metrics = wait_until(Duration::from_secs(20), || {
        let address = fs::read_to_string(folder.path().join("address")).ok()?;
        let output = Command::new("curl").args(["-s", &format!("http://{address}/metrics")]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        wanted.iter().all(|line| text.contains(line)).then_some(text)
    });
    let text = fs::read_to_string(folder.path().join("out")).unwrap_or_default();
    assert!(metrics.is_some(), "{text}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    for (settings, wanted) in [
        ("alerts: { file_output: { enabled: true } }", "service.alerts.file_output.filename"),
        ("alerts: { http_output: { enabled: true, url: nowhere } }", "service.alerts.http_output.url"),
        ("alerts: { program_output: { enabled: true } }", "service.alerts.program_output.program"),
        ("alerts: { outputs_queue: { capacity: 0 } }", "service.alerts.outputs_queue.capacity"),
        ("priority: loud", "is no priority; there are emergency, alert, critical"),
        ("alerts: { nats_output: { enabled: true } }", "alerts.nats_output sends over the sensor's connection"),
    ] {
        fs::write(&config, format!("service:\n  {settings}\n")).unwrap();
        let mut command = sensor();
        let output = command.args(["run", "--replay"]).arg(recording()).arg("--config").arg(&config).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(wanted), "{settings}: {said}");
    }
}
