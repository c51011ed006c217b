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

/// A running service.
pub(crate) struct Service {
    pub(crate) process: Process,
    admin: String,
}

impl Platform {
    pub(crate) async fn start(correlator: Option<&Path>) -> anyhow::Result<Self> {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("correlator"));
        let correlator = correlator.map_or_else(beside, |path| Ok(path.to_owned()))?;
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
    pub(crate) fn correlate(&self) -> anyhow::Result<Service> {
        let hint = "build it (`cargo build --profile fast -p correlator`) or name it with --correlator";
        ensure!(self.correlator.is_file(), "{} is not there: {hint}", self.correlator.display());
        let at = self.folder.path().display();
        let own = format!("{{ state: {at}/state, http: {{ address_file: {at}/http }} }}");
        self.start_service("correlator", &self.correlator, &own)
    }

    /// Starts the sensor, which stands beside the correlator, with rules of its own, and waits until it is ready.
    pub(crate) fn sense(&self, rules: &str) -> anyhow::Result<Service> {
        let program = self.correlator.with_file_name("runtime-sensor");
        ensure!(program.is_file(), "{} is not there: build it beside the correlator", program.display());
        let path = self.folder.path().join("rules.yaml");
        std::fs::write(&path, rules)?;
        let own = format!("{{ rules: [{}], max_alerts_per_second: 1000000 }}", path.display());
        self.start_service("runtime-sensor", &program, &own)
    }

    /// Starts a service with a section `service` of its configuration, and waits until it is ready.
    pub(crate) fn start_service(&self, name: &'static str, program: &Path, own: &str) -> anyhow::Result<Service> {
        let at = self.folder.path();
        let (config, admin) = (at.join(format!("{name}.yaml")), at.join(format!("{name}.admin")));
        let text = format!(
            "cluster: load\nbus: {{ servers: [\"{}\"] }}\nadmin: {{ address_file: {} }}\ntelemetry: {{ log: warn }}\nservice: {own}\n",
            self.nats.url(),
            admin.display()
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.arg("--config").arg(config);
        let process = Process::start(name, &mut command, &at.join(format!("{name}.log")))?;
        let address = wait_until(WAIT, || std::fs::read_to_string(&admin).ok().filter(|text| !text.is_empty()));
        let admin = address.with_context(|| format!("{name} did not start: {}", process.last_lines(5)))?;
        let service = Service { process, admin };
        wait_until(WAIT, || service.get("/ready"))
            .with_context(|| format!("{name} is not ready: {}", service.process.last_lines(5)))?;
        Ok(service)
    }
}

impl Service {
    /// The value of a metric, all its labels together; 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").unwrap_or_default();
        let value = |line: &str| -> Option<f64> {
            let rest = line.strip_prefix(name)?;
            let rest = rest.strip_prefix('{').and_then(|rest| rest.rsplit_once('}')).map_or(rest, |(_, rest)| rest);
            rest.strip_prefix(' ')?.parse().ok()
        };
        text.lines().filter_map(value).sum()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Processor time of the service so far, in seconds.
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
