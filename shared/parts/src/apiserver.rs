//! A real kube-apiserver with its etcd, without nodes: for everything that admits, watches and applies objects.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::certificates::Pki;
use crate::find::{Tool, find};
use crate::process::{Process, free_port, wait_until};
use crate::servers::{StartError, await_port, failed};

/// A kube-apiserver on a loopback port, with an etcd of its own. Pods stay pending: there is no scheduler and no node.
#[derive(Debug)]
pub struct KubeApiserver {
    /// The etcd.
    pub etcd: Process,
    /// The API server.
    pub process: Process,
    /// A kubeconfig of an administrator.
    pub kubeconfig: PathBuf,
    /// Its address, `https://127.0.0.1:<port>`.
    pub url: String,
    /// The administrator's token.
    pub token: String,
    /// The certificate of the authority that signed the server's certificate (PEM file).
    pub authority: PathBuf,
    folder: PathBuf,
    pki: Pki,
    etcd_url: String,
    port: u16,
}

impl KubeApiserver {
    /// Starts etcd and the API server with their data in `folder`.
    ///
    /// # Errors
    /// When a program is missing or a server does not come up.
    pub fn start(folder: &Path) -> Result<Self, StartError> {
        fs::create_dir_all(folder)?;
        find(Tool::KubeApiserver)?;
        let (etcd, etcd_url) = start_etcd(folder, |command| command)?;
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let pki = Pki::make(&folder.join("pki"), &names)?;
        let token = token()?;
        fs::write(folder.join("tokens.csv"), format!("{token},admin,admin,system:masters\n"))?;
        let port = free_port()?;
        let process = launch(folder, &pki, &etcd_url, port)?;
        let url = format!("https://127.0.0.1:{port}");
        let kubeconfig = folder.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(&url, &pki.authority, &token))?;
        let authority = pki.authority.clone();
        let mut server =
            Self { etcd, process, kubeconfig, url, token, authority, folder: folder.to_owned(), pki, etcd_url, port };
        server.await_ready()?;
        Ok(server)
    }

    /// Ends the API server at once; etcd goes on.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the API server again after [`Self::kill`], at the same address with the same objects.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> Result<(), StartError> {
        self.process.kill();
        self.process = launch(&self.folder, &self.pki, &self.etcd_url, self.port)?;
        self.await_ready()
    }

    /// Runs kubectl as the administrator and gives what it printed.
    ///
    /// # Errors
    /// When kubectl cannot be run, or says no: [`StartError::Command`] holds its words.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, StartError> {
        let mut command = Command::new(find(Tool::Kubectl)?);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        said("kubectl", &command.output()?)
    }

    /// Runs kubectl as the administrator with a text to read.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub fn kubectl_stdin(&self, arguments: &[&str], text: &str) -> Result<String, StartError> {
        let file = self.folder.join("stdin.yaml");
        fs::write(&file, text)?;
        let mut command = Command::new(find(Tool::Kubectl)?);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).stdin(fs::File::open(&file)?);
        said("kubectl", &command.output()?)
    }

    /// Applies manifests given as YAML.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub fn apply(&self, manifests: &str) -> Result<String, StartError> {
        let file = self.folder.join("apply.yaml");
        fs::write(&file, manifests)?;
        self.kubectl(&["apply", "-f", &file.display().to_string()])
    }

    fn await_ready(&mut self) -> Result<(), StartError> {
        await_port(&mut self.process, self.port)?;
        let ready = wait_until(Duration::from_secs(60), || {
            if self.process.ended().is_some() {
                return Some(false);
            }
            self.kubectl(&["get", "--raw", "/readyz"]).ok().map(|said| said.contains("ok"))
        });
        if ready == Some(true) { Ok(()) } else { Err(failed(&self.process)) }
    }
}

/// Starts an etcd on loopback ports of the system's choice. `wrap` may put its command into another namespace.
pub(crate) fn start_etcd(
    folder: &Path,
    wrap: impl FnOnce(Command) -> Command,
) -> Result<(Process, String), StartError> {
    let (clients, peers) = (free_port()?, free_port()?);
    let url = format!("http://127.0.0.1:{clients}");
    let peer = format!("http://127.0.0.1:{peers}");
    let mut command = Command::new(find(Tool::Etcd)?);
    command.arg("--data-dir").arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}"), "--unsafe-no-fsync", "--log-level", "warn"]);
    let process = Process::start("etcd", &mut wrap(command), &folder.join("etcd.log"))?;
    Ok((process, url))
}

fn launch(folder: &Path, pki: &Pki, etcd_url: &str, port: u16) -> Result<Process, StartError> {
    let mut command = Command::new(find(Tool::KubeApiserver)?);
    common_flags(&mut command, folder, pki, etcd_url);
    command.args(["--bind-address=127.0.0.1", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"]);
    command.arg("--disable-admission-plugins=ServiceAccount").arg(format!("--secure-port={port}"));
    Ok(Process::start("kube-apiserver", &mut command, &folder.join("kube-apiserver.log"))?)
}

/// The flags that every API server of ours has.
pub(crate) fn common_flags(command: &mut Command, folder: &Path, pki: &Pki, etcd_url: &str) {
    let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    command.arg(format!("--etcd-servers={etcd_url}"));
    command.arg(file("tls-cert-file", &pki.certificate)).arg(file("tls-private-key-file", &pki.key));
    command.arg(file("service-account-key-file", &pki.accounts_public));
    command.arg(file("service-account-signing-key-file", &pki.accounts_key));
    command.arg("--service-account-issuer=https://kubernetes.default.svc");
    command.arg(file("token-auth-file", &folder.join("tokens.csv")));
    command.arg("--enable-priority-and-fairness=false");
}

/// A token that nobody can guess.
pub(crate) fn token() -> std::io::Result<String> {
    let mut random = [0_u8; 20];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(crate) fn kubeconfig_text(url: &str, authority: &Path, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: biotope\n  cluster: {{ server: '{url}', certificate-authority: '{}' }}\nusers:\n- name: admin\n  user: {{ token: '{token}' }}\ncontexts:\n- name: biotope\n  context: {{ cluster: biotope, user: admin }}\ncurrent-context: biotope\n",
        authority.display()
    )
}

/// What a command printed, or its failure with its words.
pub(crate) fn said(name: &str, output: &Output) -> Result<String, StartError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let log = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).trim().to_owned();
    Err(StartError::Command { name: name.to_owned(), log })
}
