//! A broker with its folders, a bus and an OpenBao of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bus::{Bus, Cursor, From, Origin};
use schemas::AnyEvent;
use testkit::parts::{Nats, OpenBao, Part, Process, wait_until};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) bao: Part<OpenBao>,
    _nats: Part<Nats>,
    pub(crate) folder: tempfile::TempDir,
    broker: Process,
    cursor: Cursor,
    pub(crate) bus: Bus,
    /// Bytes of every event that was seen, for the search for canaries.
    pub(crate) seen: Vec<u8>,
    waiting: Vec<AnyEvent>,
}

impl World {
    /// `None`, with a line that says so, where a part is missing.
    pub(crate) async fn start(prepare: impl FnOnce(&Part<OpenBao>)) -> Option<Self> {
        let bao = testkit::parts::openbao()?;
        prepare(&bao);
        Self::start_at(bao, "").await
    }

    /// The same with an OpenBao that is there already, and more lines in the broker's own section.
    pub(crate) async fn start_at(bao: Part<OpenBao>, more: &str) -> Option<Self> {
        let nats = testkit::parts::nats()?;
        let folder = tempfile::tempdir().unwrap();
        for name in ["secrets", "pods"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "bus: {{ servers: ['{}'] }}\nadmin: {{ address_file: {} }}\nservice:\n  manifests: {}\n  pods: {}\n  targets: {}\n  state: {}\n  \
             check_interval_ms: 200\n  stale_after_s: 3\n{more}",
            nats.url(),
            at("admin"),
            at("secrets"),
            at("pods"),
            at("targets"),
            at("state")
        );
        std::fs::write(folder.path().join("config.yaml"), config).unwrap();
        let bus_config = bus::Config { servers: vec![nats.url()], connect_timeout_s: 10, ..bus::Config::default() };
        let (cluster, service) = ("local".parse().unwrap(), "tester".to_owned());
        let origin = Origin { cluster, service, instance: "1".to_owned(), node: None };
        let bus = Bus::connect(&bus_config, origin).await.unwrap();
        bus.ensure_streams().await.unwrap();
        let cursor = bus.cursor("BIOTOPE_EVENTS", From::Beginning, Vec::new());
        let mut command = Command::new(env!("CARGO_BIN_EXE_secret-broker"));
        command.arg("--config").arg(folder.path().join("config.yaml"));
        let broker = Process::start("secret-broker", &mut command, &folder.path().join("log")).unwrap();
        Some(Self { bao, _nats: nats, folder, broker, cursor, bus, seen: Vec::new(), waiting: Vec::new() })
    }

    pub(crate) fn manifest(&self, name: &str, text: &str) {
        let text = text.replace("SERVER", &self.bao.address);
        std::fs::write(self.folder.path().join("secrets").join(name), text).unwrap();
    }

    pub(crate) fn pod(&self, text: &str) {
        std::fs::write(self.folder.path().join("pods/pod.yaml"), text).unwrap();
    }

    pub(crate) fn target(&self, path: &str) -> PathBuf {
        self.folder.path().join("targets").join(path)
    }

    /// The next event of a kind; those of other kinds are kept for later calls.
    pub(crate) async fn event(&mut self, kind: &str) -> AnyEvent {
        let started = std::time::Instant::now();
        let wanted = format!("dev.biotope.start.secret.{kind}.v1");
        loop {
            if let Some(index) = self.waiting.iter().position(|event| event.event_type == wanted) {
                return self.waiting.remove(index);
            }
            assert!(started.elapsed() < LIMIT, "no {kind} came; log:\n{}", self.log());
            for stored in self.cursor.next_batch(100, Duration::from_millis(500)).await {
                self.seen.extend_from_slice(&stored.payload);
                self.waiting.push(bus::decode_any(&stored.payload).unwrap());
            }
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.broker.log()).unwrap_or_default()
    }

    /// Waits until the log says `text`.
    pub(crate) fn said(&self, text: &str) {
        let said = wait_until(LIMIT, || self.log().contains(text).then_some(()));
        assert!(said.is_some(), "never said {text:?}:\n{}", self.log());
    }

    pub(crate) async fn admin(&self, path: &str) -> String {
        let address = std::fs::read_to_string(self.folder.path().join("admin")).unwrap();
        service::install_crypto();
        reqwest::get(format!("http://{address}/{path}")).await.unwrap().text().await.unwrap()
    }

    /// Everything that the broker has told anybody.
    pub(crate) async fn everything(&self) -> String {
        let pages =
            format!("{}{}{}", self.admin("metrics").await, self.admin("faults").await, self.admin("ready").await);
        format!("{}{}{pages}", self.log(), String::from_utf8_lossy(&self.seen))
    }
}
