//! The platform on this machine: servers and services as child processes on loopback ports that the system chose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Context as _;
use parts::{Nats, OpenBao, Process, Registry, wait_until};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) mod users;

/// Where everything of a running platform is; `platform.json` in its folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// Cluster name.
    pub(crate) cluster: String,
    /// NATS.
    pub(crate) nats: String,
    /// Who this command is there, and the file with its password.
    pub(crate) bus_user: (String, PathBuf),
    /// OCI registry.
    pub(crate) registry: String,
    /// OpenBao.
    pub(crate) openbao: String,
    /// The gateway's webhook, HTTPS.
    pub(crate) webhook: String,
    /// The console and its API.
    pub(crate) console: String,
    /// The admin server of each service.
    pub(crate) admin: BTreeMap<String, String>,
}

impl Addresses {
    /// Reads the addresses of a platform that runs in `folder`.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("platform.json");
        let text = fs::read_to_string(&path).with_context(|| {
            format!("no platform runs in {}: start one with `biotope up`, or name its --folder", folder.display())
        })?;
        serde_json::from_str(&text).with_context(|| format!("{} is malformed", path.display()))
    }
}

/// A running platform. Dropping it ends every process, the services first.
#[derive(Debug)]
pub(crate) struct Platform {
    pub(crate) services: Vec<Process>,
    pub(crate) addresses: Addresses,
    pub(crate) folder: PathBuf,
    pub(crate) openbao: OpenBao,
    registry: Registry,
    pub(crate) nats: Nats,
}

/// The folders that a person puts things into, below the platform's folder, and what they hold.
pub(crate) const INPUTS: [(&str, &str); 5] = [
    ("advisories", "OSV advisories"),
    ("policies", "Kyverno policies"),
    ("manifests", "pods, and what policies look up: namespaces, config maps"),
    ("secrets", "stores, external secrets, and the Secrets that log in to stores; what is synced goes to secrets-out"),
    ("rules", "Falco rules"),
];

/// The services, in the order in which they start.
pub(crate) const SERVICES: [&str; 5] =
    ["correlator", "registry-scanner", "admission-gateway", "secret-broker", "runtime-sensor"];

impl Platform {
    /// Starts everything, with events from the kernel or from a recording.
    pub(crate) fn start(folder: &Path, recording: Option<&Path>) -> anyhow::Result<Self> {
        let folder = {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            folder.canonicalize()?
        };
        for name in INPUTS.map(|(name, _)| name).into_iter().chain(["secrets-out", "run", "logs", "state"]) {
            fs::create_dir_all(folder.join(name))?;
        }
        seed_rules(&folder.join("rules"))?;
        crate::print::go_on_without_reader();
        let nats = Nats::start_configured(&folder.join("nats"), &users::create(&folder)?)?;
        users::write_reader(&folder, &nats.url())?;
        let registry = Registry::start(&folder.join("registry"))?;
        let openbao = OpenBao::start(&folder.join("openbao"), &token())?;
        write_secret(&folder.join("run/openbao-token"), &openbao.token)?;
        let addresses = Addresses {
            cluster: "local".to_owned(),
            nats: nats.url(),
            bus_user: users::auth(&folder, None),
            registry: registry.address.clone(),
            openbao: openbao.address.clone(),
            ..Addresses::default()
        };
        let mut platform = Self { services: Vec::new(), addresses, folder, openbao, registry, nats };
        // A recording is played when its time in the story has come.
        let now = SERVICES.into_iter().filter(|service| recording.is_none() || *service != "runtime-sensor");
        for service in now.clone() {
            platform.start_service(service, recording)?;
        }
        for service in now {
            platform.await_service(service)?;
        }
        platform.addresses.webhook = platform.read_address("admission-gateway.webhook")?;
        platform.addresses.console = platform.read_address("correlator.http")?;
        let text = serde_json::to_string_pretty(&platform.addresses)?;
        service::write_atomically(&platform.folder.join("platform.json"), &text)?;
        Ok(platform)
    }

    /// Starts one service with a configuration of its own.
    pub(crate) fn start_service(&mut self, service: &'static str, recording: Option<&Path>) -> anyhow::Result<()> {
        let config = self.folder.join(format!("run/{service}.yaml"));
        // JSON is YAML too.
        fs::write(&config, serde_json::to_string_pretty(&self.config(service, recording))?)?;
        let mut command = Command::new(program(service)?);
        command.arg("--config").arg(&config).current_dir(&self.folder);
        let log = self.folder.join(format!("logs/{service}.log"));
        self.services.push(Process::start(service, &mut command, &log)?);
        Ok(())
    }

    fn config(&self, service: &str, recording: Option<&Path>) -> Value {
        let path = |name: &str| self.folder.join(name);
        let own = match service {
            "registry-scanner" => {
                json!({ "advisories": path("advisories"), "store": path("state/inventories"), "advisories_poll_s": 1 })
            }
            "admission-gateway" => json!({
                "policies": path("policies"), "manifests": path("manifests"), "certificates": path("run/certificates"),
                "address_file": path("run/admission-gateway.webhook.address"),
            }),
            "secret-broker" => {
                json!({
                    "manifests": path("secrets"), "targets": path("secrets-out"), "pods": path("manifests"), "state": path("state/secret-broker"),
                })
            }
            "runtime-sensor" => match recording {
                Some(recording) => {
                    json!({ "rules": [path("rules")], "source": "replay", "replay_file": recording, "containers_only": true })
                }
                None => json!({ "rules": [path("rules")], "containers_only": true }),
            },
            _ => {
                json!({ "state": path("state/correlator"), "http": { "address_file": path("run/correlator.http.address") } })
            }
        };
        let (user, password_file) = users::auth(&self.folder, Some(service));
        let spools = matches!(service, "runtime-sensor" | "admission-gateway");
        let spool = spools.then(|| json!({ "folder": path(&format!("state/{service}-spool")) }));
        json!({
            "cluster": self.addresses.cluster,
            "node": "local",
            "bus": { "servers": [self.nats.url()], "spool": spool, "auth": { "user": user, "password_file": password_file } },
            "admin": { "address_file": path(&format!("run/{service}.address")) },
            "service": own,
        })
    }

    /// Waits until a service is ready; says why it is not when it ends or takes too long.
    pub(crate) fn await_service(&mut self, service: &'static str) -> anyhow::Result<()> {
        let address_file = self.folder.join(format!("run/{service}.address"));
        let mut waits_for = String::from("it has not started");
        let process =
            self.services.iter_mut().rev().find(|process| process.name() == service).context("no such service")?;
        let ready = wait_until(Duration::from_secs(60), || {
            if process.ended().is_some() {
                return Some(false);
            }
            let address = fs::read_to_string(&address_file).ok()?;
            match http_get(&address, "/ready") {
                Some((200, _)) => Some(true),
                Some((_, body)) => {
                    waits_for = body.trim().replace('\n', "; ");
                    None
                }
                None => None,
            }
        });
        match ready {
            Some(true) => {
                let address = fs::read_to_string(&address_file)?;
                self.addresses.admin.insert(service.to_owned(), address);
                Ok(())
            }
            Some(false) => anyhow::bail!("{service} ended; its log ends with:\n{}", process.last_lines(6)),
            None => anyhow::bail!("{service} is not ready after 60 s: {waits_for}"),
        }
    }

    fn read_address(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.join(format!("run/{name}.address"));
        fs::read_to_string(&path).with_context(|| format!("{} is not there", path.display()))
    }

    /// The first part that ended by itself: its name, how it ended, and the last lines of its log. A server comes before the
    /// services, which only suffer from its end.
    pub(crate) fn ended(&mut self) -> Option<(String, ExitStatus, String)> {
        let servers = [&mut self.nats.process, &mut self.registry.process, &mut self.openbao.process];
        servers
            .into_iter()
            .chain(&mut self.services)
            .find_map(|part| part.ended().map(|status| (part.name().to_owned(), status, part.last_lines(6))))
    }

    /// Ends the services in the reverse order of their start, each with time to drain.
    pub(crate) fn stop(&mut self) {
        for service in self.services.iter().rev() {
            service.terminate();
        }
        for service in self.services.iter_mut().rev() {
            service.wait(Duration::from_secs(15));
        }
        self.services.clear();
        // A stale file would send the next command to a port that somebody else has by then.
        let _ = fs::remove_file(self.folder.join("platform.json"));
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The sensor's rules as a file to read and change; an own set of files is left alone.
fn seed_rules(folder: &Path) -> std::io::Result<()> {
    if fs::read_dir(folder)?.next().is_some() {
        return Ok(());
    }
    fs::write(folder.join("biotope_rules.yaml"), include_str!("../../services/runtime-sensor/rules/biotope_rules.yaml"))
}

/// The program of a service: beside this one, as they are built and shipped together.
fn program(service: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().unwrap_or(Path::new(".")).join(service);
    anyhow::ensure!(path.exists(), "{} is missing: build all services with `make build`", path.display());
    Ok(path)
}

/// A small blocking GET for loopback servers: status and body.
pub(crate) fn http_get(address: &str, path: &str) -> Option<(u16, String)> {
    use std::io::{Read as _, Write as _};
    let address = address.trim().parse().ok()?;
    let mut socket = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    socket.take(4 * 1024 * 1024).read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Some((status, body))
}

/// A token for the OpenBao of this run.
fn token() -> String {
    let bytes = fs::read("/proc/sys/kernel/random/uuid").unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
