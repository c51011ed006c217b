//! The parts under load: a nats-server and a correlator, each in a folder that goes when the run ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bus::{Bus, Config, Origin};
use parts::{Nats, Process, wait_until};
use tempfile::TempDir;

/// A nats-server with its streams, and how to start the correlator.
pub(crate) struct Platform {
    pub(crate) bus: Bus,
    nats: Nats,
    correlator: PathBuf,
    // Dropped last: the parts live in it.
    folder: TempDir,
}

/// A running correlator.
pub(crate) struct Correlator {
    pub(crate) process: Process,
    admin: String,
}

impl Platform {
    pub(crate) async fn start(correlator: Option<&Path>) -> anyhow::Result<Self> {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("correlator"));
        let correlator = correlator.map_or_else(beside, |path| Ok(path.to_owned()))?;
        let hint = "build it (`cargo build --profile fast -p correlator`) or name it with --correlator";
        ensure!(correlator.is_file(), "{} is not there: {hint}", correlator.display());
        let folder = TempDir::new()?;
        let nats = Nats::start(folder.path()).context("cannot start nats-server")?;
        let origin = Origin {
            cluster: "load".parse()?,
            service: "loadtest".to_owned(),
            instance: std::process::id().to_string(),
            node: None,
        };
        let config = Config { servers: vec![nats.url()], ..Config::default() };
        let bus = Bus::connect(&config, origin).await?;
        bus.ensure_streams().await?;
        Ok(Self { bus, nats, correlator, folder })
    }

    /// Starts the correlator with an empty state and waits until it is ready.
    pub(crate) fn correlate(&self) -> anyhow::Result<Correlator> {
        let at = self.folder.path();
        let text = format!(
            "cluster: load\nbus: {{ servers: [\"{}\"] }}\nadmin: {{ address_file: {1}/admin }}\ntelemetry: {{ log: warn }}\nservice: {{ state: {1}/state, http: {{ address_file: {1}/http }} }}\n",
            self.nats.url(),
            at.display()
        );
        std::fs::write(at.join("correlator.yaml"), text)?;
        let mut command = Command::new(&self.correlator);
        command.arg("--config").arg(at.join("correlator.yaml"));
        let process = Process::start("correlator", &mut command, &at.join("correlator.log"))?;
        let address = wait_until(WAIT, || std::fs::read_to_string(at.join("http")).ok())
            .and_then(|_| std::fs::read_to_string(at.join("admin")).ok());
        let admin = address.with_context(|| format!("the correlator did not start: {}", process.last_lines(5)))?;
        let correlator = Correlator { process, admin };
        wait_until(WAIT, || correlator.get("/ready"))
            .with_context(|| format!("the correlator is not ready: {}", correlator.process.last_lines(5)))?;
        Ok(correlator)
    }
}

impl Correlator {
    /// The value of a metric; 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").unwrap_or_default();
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value).unwrap_or(0.0)
    }

    /// Processor time of the correlator so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&self.process.id().to_string())
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.admin).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }
}

/// Processor time of a process so far, in seconds (proc(5), `stat`, fields 14 and 15); `self` is this one.
pub(crate) fn cpu_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

const WAIT: Duration = Duration::from_secs(60);
const TICKS_PER_SECOND: f64 = 100.0;
