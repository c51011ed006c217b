//! A nats-server, a correlator process, and a publisher that says exactly what it is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use model::{Identity, Severity, Timestamp};
use schemas::build::v1::{Finding, ImageScanned, SeverityCounts};
use schemas::deploy::v1::{AdmissionReviewed, AdmittedImage, Decision, PodCreated, PolicyResult, RuleVerdict};
use schemas::incident::v1::Incident;
use schemas::run::v1::{Alert, Process as RunProcess, RuleMatched};
use schemas::start::v1::SecretDelivered;
use schemas::{Event, EventData, Header, Token};
use testkit::parts::{Nats, Part, Process, wait_until};

/// One message, ready to be published.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) payload: Vec<u8>,
}

/// A NATS client of a few lines: publishes without message ids, so that a repeat is really stored twice, and waits until the stream
/// has all of it.
pub(crate) fn publish(nats: &str, messages: &[Message]) {
    let mut stream = TcpStream::connect(nats.trim_start_matches("nats://")).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut bytes = b"CONNECT {\"verbose\":false}\r\nSUB _INBOX.acks 1\r\n".to_vec();
    for message in messages {
        bytes.extend(format!("PUB {} _INBOX.acks {}\r\n", message.subject, message.payload.len()).bytes());
        bytes.extend(&message.payload);
        bytes.extend(b"\r\n");
    }
    stream.write_all(&bytes).unwrap();
    let (mut acknowledged, mut line) = (0, String::new());
    while acknowledged < messages.len() {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the server closed the connection");
        assert!(!line.starts_with("-ERR") && !line.contains("\"error\""), "{line}");
        if line.starts_with("PING") {
            stream.write_all(b"PONG\r\n").unwrap();
        }
        acknowledged += usize::from(line.starts_with("{\"stream\""));
    }
}

/// A correlator process with its folder.
pub(crate) struct Correlator {
    pub(crate) process: Process,
    folder: PathBuf,
    name: String,
}

impl Correlator {
    pub(crate) fn start(nats: &str, folder: &Path, name: &str) -> Self {
        let config = folder.join(format!("{name}.yaml"));
        let text = format!(
            "cluster: test\nbus: {{ servers: [\"{nats}\"] }}\nadmin: {{ address_file: {0}/{name}.admin }}\nservice:\n  state: {0}/{name}.state\n  http: {{ address_file: {0}/{name}.http }}\n",
            folder.display()
        );
        std::fs::write(&config, text).unwrap();
        for file in ["admin", "http"] {
            drop(std::fs::remove_file(folder.join(format!("{name}.{file}"))));
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_correlator"));
        command.arg("--config").arg(&config);
        let process = Process::start(name, &mut command, &folder.join(format!("{name}.log"))).unwrap();
        Self { process, folder: folder.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn address(&self, kind: &str) -> String {
        let path = self.folder.join(format!("{}.{kind}", self.name));
        let read = || std::fs::read_to_string(&path).ok().filter(|text| !text.is_empty());
        wait_until(LONG, read).unwrap_or_else(|| panic!("no address: {}", self.process.last_lines(20)))
    }

    /// Asks the API; `None` until it answers with 200.
    pub(crate) fn get(&self, kind: &str, path: &str) -> Option<String> {
        let (status, body) = http(&self.address(kind), path, "")?;
        (status == 200).then_some(body)
    }

    pub(crate) fn wait_ready(&self) -> &Self {
        // The API is served once the streams are there.
        self.address("http");
        wait_until(LONG, || self.get("admin", "/ready"))
            .unwrap_or_else(|| panic!("not ready: {}", self.process.last_lines(20)));
        self
    }

    pub(crate) fn incidents(&self) -> Vec<Incident> {
        self.get("http", "/api/incidents").map(|body| serde_json::from_str(&body).unwrap()).unwrap_or_default()
    }

    /// Waits until there is exactly one incident with `evidence` pieces.
    pub(crate) fn one_incident(&self, evidence: usize) -> Incident {
        let probe = || self.incidents().into_iter().find(|incident| incident.timeline.len() == evidence);
        let found = wait_until(LONG, probe).unwrap_or_else(|| {
            panic!(
                "{:#?}\n{}\n{}",
                self.incidents(),
                self.process.last_lines(30),
                self.get("admin", "/metrics").unwrap_or_default()
            )
        });
        assert_eq!(self.incidents().len(), 1, "{:#?}", self.incidents());
        found
    }
}

/// One HTTP/1.1 request over a socket: status and body.
pub(crate) fn http(address: &str, path: &str, extra: &str) -> Option<(u16, String)> {
    use std::io::Read as _;
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let host = if extra.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    write!(stream, "GET {path} HTTP/1.1\r\n{host}{extra}Connection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body =
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { dechunk(body) } else { body.to_owned() };
    Some((status, body))
}

fn dechunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

pub(crate) fn nats() -> Option<Part<Nats>> {
    testkit::parts::nats()
}

/// Tells the events of a pod.
pub(crate) struct Teller {
    start: Timestamp,
    next: u32,
    pub(crate) pod: u32,
}

impl Teller {
    pub(crate) fn new(pod: u32) -> Self {
        Self { start: now(), next: 0, pod }
    }

    fn message<D: EventData>(&mut self, ms: u64, key: Token, identity: Identity, data: D) -> Message {
        self.next += 1;
        let header = Header {
            id: format!("0190{:04x}-0000-7000-8000-{:012x}", self.pod, self.next).parse().unwrap(),
            time: self.start.plus(Duration::from_millis(ms)),
            source: "/test/teller/1".to_owned(),
            sequence: u64::from(self.next),
            cluster: "test".parse().unwrap(),
            node: Some("node-1".parse().unwrap()),
            traceparent: None,
        };
        let event = Event::new(header, key, identity, data);
        Message { subject: event.subject.clone(), payload: bus::encode(&event).unwrap() }
    }

    fn identity(&self) -> Identity {
        Identity {
            pod_uid: Some(format!("{:08x}-0000-4000-8000-000000000000", self.pod).parse().unwrap()),
            image_digest: Some(self.digest()),
            ..Identity::default()
        }
    }

    fn digest(&self) -> model::Digest {
        format!("sha256:{:064x}", self.pod).parse().unwrap()
    }

    fn pod_key(&self) -> Token {
        Token::from(self.identity().pod_uid.as_ref().unwrap())
    }

    pub(crate) fn scanned(&mut self, ms: u64) -> Message {
        let finding = Finding {
            id: "CVE-2021-33503".to_owned(),
            aliases: Vec::new(),
            package: "urllib3".to_owned(),
            purl: None,
            installed_version: "1.26.4".to_owned(),
            fixed_version: "1.26.5".to_owned(),
            status: String::new(),
            severity: Severity::High,
            title: String::new(),
            published: None,
            layer: None,
            path: String::new(),
        };
        let data = ImageScanned {
            image: "registry.example/web:1".to_owned(),
            digest: self.digest(),
            operating_system: None,
            packages: 1,
            counts: SeverityCounts::of([&finding]),
            findings: vec![finding],
            findings_omitted: 0,
            database: String::new(),
            partial: false,
            faults: Vec::new(),
            duration_ms: 1,
        };
        let identity = Identity { image_digest: Some(self.digest()), ..Identity::default() };
        self.message(ms, Token::from(&self.digest()), identity, data)
    }

    pub(crate) fn reviewed(&mut self, ms: u64) -> Message {
        let result = PolicyResult {
            policy: "no-known-vulnerabilities".to_owned(),
            rule: "scan".to_owned(),
            verdict: RuleVerdict::Skip,
            exception: Some("default/let-web-in".to_owned()),
            ..PolicyResult::default()
        };
        let data = AdmissionReviewed {
            operation: "CREATE".to_owned(),
            kind: "Pod".to_owned(),
            namespace: "default".to_owned(),
            name: "web".to_owned(),
            user: "dev".to_owned(),
            decision: Decision::Allow,
            results: vec![result],
            images: Vec::new(),
            dry_run: false,
            duration_us: 1,
        };
        let identity =
            Identity { admission_id: Some(format!("adm-{}", self.pod).parse().unwrap()), ..Identity::default() };
        self.message(ms, Token::lossy("default"), identity, data)
    }

    pub(crate) fn created(&mut self, ms: u64) -> Message {
        let identity = Identity {
            admission_id: Some(format!("adm-{}", self.pod).parse().unwrap()),
            pod_name: Some("web".to_owned()),
            namespace: Some("default".to_owned()),
            image_digest: None,
            ..self.identity()
        };
        let image = AdmittedImage {
            container: "web".to_owned(),
            reference: "registry.example/web:1".to_owned(),
            digest: Some(self.digest()),
        };
        let data = PodCreated { images: vec![image], secrets: vec!["db".to_owned()], ..PodCreated::default() };
        self.message(ms, self.pod_key(), identity, data)
    }

    pub(crate) fn delivered(&mut self, ms: u64) -> Message {
        let source = model::SecretRef {
            store: "SecretStore default/vault".to_owned(),
            path: "db".to_owned(),
            version: "3".to_owned(),
            target: None,
        };
        let data = SecretDelivered {
            namespace: "default".to_owned(),
            target: "db".to_owned(),
            sources: vec![source.clone()],
            by: vec!["env".to_owned()],
        };
        let identity = Identity { secrets: vec![source], ..self.identity() };
        self.message(ms, self.pod_key(), identity, data)
    }

    pub(crate) fn alert(&mut self, ms: u64, priority: &str, rule: &str) -> Message {
        let time = self.start.plus(Duration::from_millis(ms));
        let alert = Alert {
            output: format!("{rule} <b>happened</b>"),
            priority: priority.to_owned(),
            rule: rule.to_owned(),
            source: "syscall".to_owned(),
            tags: vec!["shell".to_owned()],
            time,
            hostname: "node-1".to_owned(),
            output_fields: Default::default(),
        };
        let process = RunProcess { pid: 7, name: "sh".to_owned(), ..RunProcess::default() };
        let ancestors = vec![RunProcess { pid: 1, name: "python3".to_owned(), ..RunProcess::default() }];
        let data = RuleMatched { alert, event: "execve".to_owned(), process, ancestors };
        self.message(ms, self.pod_key(), self.identity(), data)
    }

    /// The whole story: scan, admission under an exception, pod, secret, three alerts.
    pub(crate) fn story(&mut self) -> Vec<Message> {
        vec![
            self.scanned(0),
            self.reviewed(10),
            self.created(20),
            self.delivered(30),
            self.alert(100, "Notice", "Terminal shell in container"),
            self.alert(110, "Warning", "Read sensitive file"),
            self.alert(120, "Critical", "Outbound connection"),
        ]
    }
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

pub(crate) const LONG: Duration = Duration::from_secs(60);
