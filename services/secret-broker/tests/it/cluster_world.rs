//! A broker with an API server, a bus and an OpenBao of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::parts::{self, KubeApiserver, Nats, OpenBao, Part, Process, wait_until};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const CRDS: &str = include_str!("../../crds/external-secrets.io.yaml");
pub(crate) const GENERATORS: &str = include_str!("../../crds/generators.external-secrets.io.yaml");

pub(crate) struct World {
    pub(crate) server: Part<KubeApiserver>,
    pub(crate) bao: Part<OpenBao>,
    pub(crate) nats: Part<Nats>,
    pub(crate) broker: Process,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(parts::openbao()?, "")
    }

    /// A world with an OpenBao that is there already, and more lines in the broker's own section.
    pub(crate) fn start_with(bao: Part<OpenBao>, more: &str) -> Option<Self> {
        Self::start_as(bao, more, |server| server.kubeconfig.clone())
    }

    /// As [`Self::start_with`], with the kubeconfig of an account that `account` makes.
    pub(crate) fn start_as(
        bao: Part<OpenBao>,
        more: &str,
        account: impl FnOnce(&KubeApiserver) -> PathBuf,
    ) -> Option<Self> {
        let (nats, server) = (parts::nats()?, parts::kube_apiserver()?);
        server.apply(CRDS).unwrap();
        server.apply(GENERATORS).unwrap();
        let wait = ["wait", "--for=condition=Established", "--all", "crd", "--timeout=60s"];
        server.kubectl(&wait).unwrap();
        let folder = tempfile::tempdir().unwrap();
        configure(folder.path(), &nats, &account(&server), more);
        let broker = launch(folder.path());
        let world = Self { server, bao, nats, broker, folder };
        world.server.apply(&store(&world.bao)).unwrap();
        Some(world)
    }

    /// Namespaces, each with a Secret `local` of its own; the first is labelled `kind=team`. And a ClusterSecretStore `all`.
    pub(crate) fn make_teams(&self, names: &[&str]) {
        for name in names {
            self.server.kubectl(&["create", "namespace", name]).unwrap();
            let secret = format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{ name: local, namespace: {name} }}\nstringData: {{ k: canary-{name} }}\n"
            );
            self.server.apply(&secret).unwrap();
        }
        self.server.kubectl(&["label", "namespace", names[0], "kind=team"]).unwrap();
        let store = format!(
            "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {{ name: all }}\nspec:\n  provider: {{ vault: {{ server: '{}', path: secret, auth: {{ tokenSecretRef: {{ name: bao-token, namespace: default, key: token }} }} }} }}\n",
            self.bao.address
        );
        self.server.apply(&store).unwrap();
    }

    pub(crate) fn secret(&self, name: &str, path: &str) -> Option<String> {
        self.server
            .kubectl(&["get", "secret", name, "-o", &format!("jsonpath={path}")])
            .ok()
            .filter(|said| !said.is_empty())
    }

    pub(crate) fn until(&self, what: &str, name: &str, path: &str, wanted: &str) {
        self.until_it(what, name, path, |said| said == wanted);
    }

    /// Waits until what stands at `path` of an object is as wanted, and gives it.
    pub(crate) fn until_it(&self, what: &str, name: &str, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = Err("nobody asked".to_owned());
        let found = wait_until(LIMIT, || {
            let said = self.server.kubectl(&["get", what, name, "-o", &format!("jsonpath={path}")]);
            last = said.map_err(|error| error.to_string());
            let is_it = last.as_deref().is_ok_and(&wanted);
            if !is_it {
                std::thread::sleep(Duration::from_millis(150));
            }
            is_it.then(|| last.clone().unwrap_or_default())
        });
        found.unwrap_or_else(|| {
            // What the broker makes of it, and what else is there.
            let all = self.server.kubectl(&["get", "externalsecret,pushsecret,secret,event", "-A", "-o", "wide"]);
            panic!("{what} {name} {path}: {last:?}\n{}\n{all:?}", self.broker.last_lines(30))
        })
    }

    /// Waits until an ExternalSecret is not ready for a reason that holds `words`, has an event that says the same, and counts as
    /// failing.
    pub(crate) fn until_failed(&self, name: &str, words: &str) {
        let message = "{.status.conditions[0].status} {.status.conditions[0].message}";
        self.until_it("externalsecret", name, message, |said| said.starts_with("False") && said.contains(words));
        self.until_warned(name, words);
    }

    /// Waits until an ExternalSecret has an event that says `words` and is not ready.
    pub(crate) fn until_refused(&self, name: &str, words: &str) {
        self.until_warned(name, words);
        self.until("externalsecret", name, "{.status.conditions[0].status}", "False");
    }

    fn until_warned(&self, name: &str, words: &str) {
        let events = || {
            let selector = format!("involvedObject.name={name},type=Warning");
            let path = "jsonpath={.items[*].message}";
            self.server.kubectl(&["get", "events", "--field-selector", &selector, "-o", path]).unwrap_or_default()
        };
        let told = wait_until(LIMIT, || events().contains(words).then_some(()));
        assert!(told.is_some(), "no event says {words:?}: {}\n{}", events(), self.broker.last_lines(20));
    }

    /// Waits until an object of any kind has an event whose reason and message are these words.
    pub(crate) fn until_told(&self, name: &str, words: &str) {
        let events = || {
            let selector = format!("involvedObject.name={name}");
            let path = r#"jsonpath={range .items[*]}{.reason}: {.message}{"\n"}{end}"#;
            self.server.kubectl(&["get", "events", "-A", "--field-selector", &selector, "-o", path]).unwrap_or_default()
        };
        let told = wait_until(LIMIT, || events().contains(words).then_some(()));
        assert!(told.is_some(), "no event of {name} says {words:?}: {}\n{}", events(), self.broker.last_lines(20));
    }

    pub(crate) fn until_ready(&self, name: &str) {
        self.until("externalsecret", name, "{.status.conditions[0].status}", "True");
    }

    /// The value of a metric, all its labels that hold `labels` together.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> u64 {
        metric(self.folder.path(), name, labels)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// The value of a metric of the broker in `folder`; 0 where it does not answer.
pub(crate) fn metric(folder: &Path, name: &str, labels: &str) -> u64 {
    let text = admin(folder, "/metrics");
    let lines = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    lines.filter(|line| line.contains(labels)).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// What the broker in `folder` says at a path.
pub(crate) fn admin(folder: &Path, path: &str) -> String {
    let Ok(address) = std::fs::read_to_string(folder.join("admin")) else { return String::new() };
    let Ok(mut stream) = TcpStream::connect(&address) else { return String::new() };
    let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

pub(crate) fn configure(folder: &Path, nats: &Part<Nats>, kubeconfig: &Path, more: &str) {
    let at = |name: &str| folder.join(name).display().to_string();
    let config = format!(
        "bus: {{ servers: ['{}'] }}\nadmin: {{ address_file: {} }}\nservice:\n  kubernetes: {{ kubeconfig: {}, lease: {{ duration_s: 5 }} }}\n  state: {}\n  \
         targets: {}\n  check_interval_ms: 200\n{more}",
        nats.url(),
        at("admin"),
        kubeconfig.display(),
        at("state"),
        at("targets"),
    );
    std::fs::write(folder.join("config.yaml"), config).unwrap();
}

pub(crate) fn store(bao: &Part<OpenBao>) -> String {
    store_at(&bao.address, "")
}

/// The store `bao` at an address, with more settings.
pub(crate) fn store_at(address: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: bao-token }}\nstringData: {{ token: root }}\n---\napiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: bao }}\nspec:\n  provider:\n    vault:\n      server: '{address}'\n      path: secret\n      version: v2\n{more}      auth: {{ tokenSecretRef: {{ name: bao-token, key: token }} }}\n"
    )
}

pub(crate) fn launch(folder: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secret-broker"));
    command.arg("--config").arg(folder.join("config.yaml"));
    Process::start("secret-broker", &mut command, &folder.join("log")).unwrap()
}

pub(crate) fn external(name: &str, target: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: {name}, labels: {{ team: shop }} }}\nspec:\n  refreshInterval: 1h\n  secretStoreRef: {{ name: bao, kind: SecretStore }}\n  target: {target}\n  data:\n  - {{ secretKey: password, remoteRef: {{ key: {name}, property: password }} }}\n"
    )
}

/// A value as Secrets hold it.
pub(crate) fn encoded(value: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(value)
}
