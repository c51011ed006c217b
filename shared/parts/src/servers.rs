//! The servers, each with what its clients need to know.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::find::{MissingTool, Tool, find};
use crate::process::{Process, ProcessError, free_port, wait_until};

/// A nats-server with JetStream, on a port that the system chose.
#[derive(Debug)]
pub struct Nats {
    /// The process.
    pub process: Process,
    /// Its port.
    pub port: u16,
    folder: PathBuf,
    variant: NatsVariant,
}

/// How a nats-server differs from one with JetStream and nothing else.
#[derive(Clone, Debug)]
enum NatsVariant {
    Plain,
    WithoutJetStream,
    /// With a configuration file: logins, TLS.
    Configured(PathBuf),
}

impl Nats {
    /// Starts a server with its store in `folder`.
    ///
    /// # Errors
    /// When the program is missing or the server does not come up.
    pub fn start(folder: &Path) -> Result<Self, StartError> {
        Self::launch(folder, free_port()?, NatsVariant::Plain)
    }

    /// Starts a server without JetStream.
    ///
    /// # Errors
    /// As [`Nats::start`].
    pub fn start_without_jetstream(folder: &Path) -> Result<Self, StartError> {
        Self::launch(folder, free_port()?, NatsVariant::WithoutJetStream)
    }

    /// Starts a server with JetStream and more configuration, in the syntax of its own configuration file.
    ///
    /// # Errors
    /// As [`Nats::start`].
    pub fn start_configured(folder: &Path, configuration: &str) -> Result<Self, StartError> {
        fs::create_dir_all(folder)?;
        let path = folder.join("nats-server.conf");
        fs::write(&path, configuration)?;
        Self::launch(folder, free_port()?, NatsVariant::Configured(path))
    }

    fn launch(folder: &Path, port: u16, variant: NatsVariant) -> Result<Self, StartError> {
        fs::create_dir_all(folder)?;
        let mut command = Command::new(find(Tool::NatsServer)?);
        command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
        match &variant {
            NatsVariant::Configured(path) => drop(command.arg("-c").arg(path)),
            NatsVariant::Plain => {
                // By itself the server lends out three quarters of what is free on the disk, which may be less than the streams may
                // grow to; what they are allowed is not what they take.
                let path = folder.join("limits.conf");
                fs::write(&path, "jetstream { max_file_store: 64GB }\n")?;
                command.arg("-c").arg(path);
            }
            NatsVariant::WithoutJetStream => {}
        }
        if !matches!(variant, NatsVariant::WithoutJetStream) {
            command.arg("-js").arg("-sd").arg(folder.join("store"));
        }
        let mut process = Process::start("nats-server", &mut command, &folder.join("nats-server.log"))?;
        await_port(&mut process, port)?;
        Ok(Self { process, port, folder: folder.to_owned(), variant })
    }

    /// The address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends the server at once and starts it again with the same port, store and configuration.
    ///
    /// # Errors
    /// As [`Nats::start`].
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.process.kill();
        *self = Self::launch(&self.folder.clone(), self.port, self.variant.clone())?;
        Ok(())
    }
}

/// An OpenBao server in development mode: unsealed, KV version 2 at `secret/`, in memory.
#[derive(Debug)]
pub struct OpenBao {
    /// The process.
    pub process: Process,
    /// Its address, `http://127.0.0.1:<port>`.
    pub address: String,
    /// The root token.
    pub token: String,
    program: PathBuf,
}

impl OpenBao {
    /// Starts a server.
    ///
    /// # Errors
    /// When the program is missing or the server does not come up.
    pub fn start(folder: &Path, token: &str) -> Result<Self, StartError> {
        Self::start_configured(folder, token, "")
    }

    /// Starts a server with more configuration, in the syntax of its own configuration file: audit devices, listeners.
    ///
    /// # Errors
    /// As [`OpenBao::start`].
    pub fn start_configured(folder: &Path, token: &str, configuration: &str) -> Result<Self, StartError> {
        fs::create_dir_all(folder)?;
        let program = find(Tool::OpenBao)?;
        let port = free_port()?;
        let mut command = Command::new(&program);
        command.args(["server", "-dev", "-dev-no-store-token"]);
        if !configuration.is_empty() {
            let path = folder.join("openbao.hcl");
            fs::write(&path, configuration)?;
            command.arg("-config").arg(path);
        }
        command.arg(format!("-dev-root-token-id={token}")).arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        command.env("HOME", folder);
        let mut process = Process::start("openbao", &mut command, &folder.join("openbao.log"))?;
        await_port(&mut process, port)?;
        let mut server =
            Self { process, address: format!("http://127.0.0.1:{port}"), token: token.to_owned(), program };
        // The port opens before the mount at secret/ is there.
        let ready = wait_until(Duration::from_secs(20), || {
            server.command(&["kv", "get", "secret/none"]).ok().filter(|said| said.contains("No value"))
        });
        if ready.is_none() && server.process.ended().is_some() {
            return Err(failed(&server.process));
        }
        Ok(server)
    }

    /// Runs the `bao` command against this server and returns what it printed, also when it failed.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub fn command(&self, arguments: &[&str]) -> Result<String, StartError> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("BAO_ADDR", &self.address).env("BAO_TOKEN", &self.token);
        let output = command.output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

/// An OCI registry with its blobs in a folder.
#[derive(Debug)]
pub struct Registry {
    /// The process.
    pub process: Process,
    /// Its address, `127.0.0.1:<port>`, the first part of image references.
    pub address: String,
}

impl Registry {
    /// Starts a registry.
    ///
    /// # Errors
    /// When the program is missing or the server does not come up.
    pub fn start(folder: &Path) -> Result<Self, StartError> {
        Self::start_with(folder, "")
    }

    /// Starts a registry that lets only users of an htpasswd file (bcrypt) in.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub fn start_for_users(folder: &Path, htpasswd: &str) -> Result<Self, StartError> {
        let path = folder.join("htpasswd");
        fs::write(&path, htpasswd)?;
        Self::start_with(folder, &format!("auth: {{ htpasswd: {{ realm: registry, path: {} }} }}\n", path.display()))
    }

    fn start_with(folder: &Path, more: &str) -> Result<Self, StartError> {
        fs::create_dir_all(folder.join("blobs"))?;
        let port = free_port()?;
        let config = folder.join("registry.yml");
        let blobs = folder.join("blobs");
        fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{ level: warn }}\nstorage:\n  delete: {{ enabled: true }}\n  filesystem: {{ rootdirectory: {} }}\nhttp: {{ addr: '127.0.0.1:{port}' }}\n{more}",
                blobs.display()
            ),
        )?;
        let mut command = Command::new(find(Tool::Registry)?);
        command.arg("serve").arg(&config);
        let mut process = Process::start("docker-registry", &mut command, &folder.join("registry.log"))?;
        await_port(&mut process, port)?;
        Ok(Self { process, address: format!("127.0.0.1:{port}") })
    }
}

/// A server that answers as Amazon's services do, with everything in memory (moto).
#[derive(Debug)]
pub struct Moto {
    /// The process.
    pub process: Process,
    /// Its address, `http://127.0.0.1:<port>`.
    pub address: String,
}

impl Moto {
    /// Starts a server.
    ///
    /// # Errors
    /// When the program is missing or the server does not come up.
    pub fn start(folder: &Path) -> Result<Self, StartError> {
        fs::create_dir_all(folder)?;
        let port = free_port()?;
        let mut command = Command::new(find(Tool::MotoServer)?);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("HOME", folder).current_dir(folder);
        let mut process = Process::start("moto", &mut command, &folder.join("moto.log"))?;
        await_port(&mut process, port)?;
        Ok(Self { process, address: format!("http://127.0.0.1:{port}") })
    }
}

pub(crate) fn await_port(process: &mut Process, port: u16) -> Result<(), StartError> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let up = wait_until(Duration::from_secs(30), || {
        if process.ended().is_some() {
            return Some(false);
        }
        TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok().map(|_| true)
    });
    if up == Some(true) { Ok(()) } else { Err(failed(process)) }
}

pub(crate) fn failed(process: &Process) -> StartError {
    StartError::NotUp { name: process.name().to_owned(), log: process.last_lines(8) }
}

/// A server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its program is missing.
    #[error(transparent)]
    Missing(#[from] MissingTool),
    /// Its process cannot be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A file or port of it.
    #[error("cannot prepare a server: {0}")]
    Io(#[from] std::io::Error),
    /// A command of it said no.
    #[error("{name} failed: {log}")]
    Command {
        /// The command.
        name: String,
        /// What it said.
        log: String,
    },
    /// It ended, or does not answer.
    #[error("{name} did not come up; its log ends with:\n{log}")]
    NotUp {
        /// Its name.
        name: String,
        /// The end of its log.
        log: String,
    },
}
