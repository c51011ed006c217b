//! One connection, with everything that hangs on it.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream;
use model::{ClusterName, NodeName};
use schemas::{Subject, Token};

use crate::codec;
use crate::config::Config;

/// A connection to the bus on behalf of one service instance. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) origin: Origin,
    pub(crate) config: Config,
}

/// Who speaks.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Cluster, a token of every subject.
    pub cluster: ClusterName,
    /// Service, such as `correlator`.
    pub service: String,
    /// Instance: differs between two processes and between two runs, so that sequence numbers can start again.
    pub instance: String,
    /// Node, for services that run on each.
    pub node: Option<NodeName>,
}

impl Origin {
    /// The CloudEvents source: `/<cluster>/<service>/<instance>`.
    #[must_use]
    pub fn source(&self) -> String {
        format!("/{}/{}/{}", self.cluster, self.service, self.instance)
    }
}

impl Bus {
    /// Connects, and waits for the server when it is not there yet (one warning a try, with growing pauses). The connection heals
    /// itself afterwards.
    ///
    /// # Errors
    /// When the configuration cannot work (unreadable credentials, refused login), the server is too old or has no JetStream, or
    /// `connect_timeout_s` has passed.
    pub async fn connect(config: &Config, origin: Origin) -> Result<Self, ConnectError> {
        let client = Self::client(config, &origin).await?;
        check_server(&client)?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(Duration::from_secs(5));
        jetstream.query_account().await.map_err(|source| ConnectError::JetStream { source: Box::new(source) })?;
        tracing::info!(servers = %config.servers.join(","), version = %client.server_info().version, "connected to nats");
        Ok(Self { client, jetstream, origin, config: config.clone() })
    }

    async fn client(config: &Config, origin: &Origin) -> Result<async_nats::Client, ConnectError> {
        let started = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match options(config, origin).await?.connect(addresses(config)?).await {
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            let kind = error.kind();
            if matches!(
                kind,
                async_nats::ConnectErrorKind::Authentication | async_nats::ConnectErrorKind::AuthorizationViolation
            ) {
                return Err(ConnectError::Refused { servers: config.servers.join(","), source: error });
            }
            if kind == async_nats::ConnectErrorKind::Tls || is_tls(&error) {
                return Err(ConnectError::Tls { servers: config.servers.join(","), source: error });
            }
            let limit = config.connect_timeout_s;
            if limit > 0 && started.elapsed() >= Duration::from_secs(limit) {
                return Err(ConnectError::Unreachable { servers: config.servers.join(","), source: error });
            }
            tracing::warn!(
                servers = %config.servers.join(","), %error, retry_in_ms = pause.as_millis(),
                "cannot reach nats: start `nats-server -js` there or set bus.servers"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Who speaks on this connection.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the connection stands right now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Waits until everything handed to the connection has left, then closes it.
    pub async fn close(&self) {
        if let Err(error) = self.client.drain().await {
            tracing::warn!(%error, "closing the connection failed");
        }
    }

    /// Sends a message that is none of the platform's events, for those who listen to `subject` now: nothing stores or acknowledges it.
    ///
    /// # Errors
    /// When the subject is none, or the connection cannot take the message.
    pub async fn send_plain(&self, subject: String, payload: Vec<u8>) -> Result<(), PlainError> {
        self.client.publish(subject, payload.into()).await.map_err(PlainError)
    }

    /// Puts a message that cannot be handled aside, bytes and all, with the reason; returns once the stream has it.
    ///
    /// # Errors
    /// When the stream does not take it: the message must then not be acknowledged.
    pub async fn park(&self, subject: &str, reason: &str, detail: &str, payload: &[u8]) -> Result<(), ParkError> {
        let letter = Subject::DeadLetter {
            cluster: self.origin.cluster.clone(),
            service: Token::lossy(&self.origin.service),
            reason: Token::lossy(reason),
        };
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Biotope-Subject", one_line(subject).as_str());
        headers.insert("Biotope-Reason", one_line(detail).as_str());
        // The original bytes, cut only where the server would refuse them.
        let most = self.client.server_info().max_payload.saturating_sub(4096);
        let body = payload.get(..payload.len().min(most)).unwrap_or_default().to_vec();
        let ack = self.jetstream.publish_with_headers(letter.to_string(), headers, body.into()).await;
        ack.map_err(ParkError)?.await.map_err(ParkError)?;
        tracing::warn!(subject, reason, detail, "message parked as dead letter");
        Ok(())
    }

    /// Encodes and publishes without JetStream, for replies and live views.
    pub(crate) async fn reply<T: serde::Serialize>(&self, to: async_nats::Subject, value: &T) {
        match codec::encode(value) {
            Ok(bytes) => {
                if let Err(error) = self.client.publish(to, bytes.into()).await {
                    tracing::warn!(%error, "reply was not sent");
                }
            }
            Err(error) => tracing::error!(%error, "reply cannot be encoded"),
        }
    }
}

/// Whether TLS is what failed: the client says so of its own files only, not of what the two sides said to each other.
fn is_tls(error: &async_nats::ConnectError) -> bool {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source()).any(|error| {
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        error.is::<rustls::Error>() || inside.is_some_and(|inside| inside.is::<rustls::Error>())
    })
}

fn check_server(client: &async_nats::Client) -> Result<(), ConnectError> {
    let info = client.server_info();
    let mut numbers = info.version.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST_SERVER { Err(ConnectError::TooOld { version: info.version.clone() }) } else { Ok(()) }
}

fn addresses(config: &Config) -> Result<Vec<async_nats::ServerAddr>, ConnectError> {
    let parse =
        |server: &String| server.parse().map_err(|source| ConnectError::Address { server: server.clone(), source });
    config.servers.iter().map(parse).collect()
}

async fn options(config: &Config, origin: &Origin) -> Result<async_nats::ConnectOptions, ConnectError> {
    let auth = &config.auth;
    let mut options = async_nats::ConnectOptions::new()
        .name(format!("{}/{}", origin.service, origin.instance))
        .custom_inbox_prefix(schemas::access::inbox(&origin.service))
        .connection_timeout(Duration::from_secs(5))
        .ping_interval(Duration::from_secs(10))
        .reconnect_delay_callback(|tries| Duration::from_millis((50 << tries.min(6)).min(2_000)))
        .event_callback(|event| async move { log(&event) });
    if let (Some(user), Some(file)) = (&auth.user, &auth.password_file) {
        options = options.user_and_password(user.clone(), read(file).await?);
    }
    if let Some(file) = &auth.nkey_seed_file {
        options = options.nkey(read(file).await?);
    }
    if let Some(file) = &auth.credentials_file {
        let unreadable = |source| ConnectError::File { path: file.clone(), source };
        options = options.credentials_file(file).await.map_err(unreadable)?;
    }
    let tls = &config.tls;
    if let Some(file) = &tls.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    if let (Some(cert), Some(key)) = (&tls.cert_file, &tls.key_file) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(options.require_tls(tls.required))
}

async fn read(path: &PathBuf) -> Result<String, ConnectError> {
    let text = tokio::fs::read_to_string(path).await;
    text.map(|text| text.trim().to_owned()).map_err(|source| ConnectError::File { path: path.clone(), source })
}

fn log(event: &async_nats::Event) {
    match event {
        async_nats::Event::Connected => tracing::info!("nats connection is up"),
        async_nats::Event::Disconnected => tracing::warn!("nats connection is down: events wait here until it is back"),
        // Asked for by ourselves, at the end.
        async_nats::Event::Draining | async_nats::Event::Closed => tracing::debug!(%event, "nats connection ends"),
        other => tracing::warn!(event = %other, "nats event"),
    }
}

/// Header values are one line by the protocol.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1024).collect()
}

/// Why the bus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// An address is malformed.
    #[error("`{server}` in bus.servers is not an address of the form nats://host:port")]
    Address {
        /// The text.
        server: String,
        /// What the client said.
        #[source]
        source: std::io::Error,
    },
    /// A file that the configuration names cannot be read.
    #[error("cannot read `{}`, which the bus section names", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server does not let us in.
    #[error("nats at {servers} refuses the login: check bus.auth")]
    Refused {
        /// Servers tried.
        servers: String,
        /// What the client said.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Server and client do not agree on TLS.
    #[error("no TLS with nats at {servers}: {source}; check bus.tls (ca_file, cert_file, key_file, required)")]
    Tls {
        /// Servers tried.
        servers: String,
        /// What the client said; part of the line, for only it tells which of the files is wrong.
        source: async_nats::ConnectError,
    },
    /// No server answered in time.
    #[error("no nats at {servers}: start `nats-server -js` there or set bus.servers")]
    Unreachable {
        /// Servers tried.
        servers: String,
        /// What the client said.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server is too old.
    #[error("nats-server {version} is too old: 2.11 or later is needed")]
    TooOld {
        /// Its version.
        version: String,
    },
    /// The server has no JetStream.
    #[error("this nats-server has no JetStream: start it with `-js` (or `jetstream {{}}` in its configuration)")]
    JetStream {
        /// What the client said.
        #[source]
        source: Box<jetstream::context::AccountError>,
    },
}

/// A plain message could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("the message could not be sent")]
pub struct PlainError(#[source] async_nats::PublishError);

/// A dead letter was not stored.
#[derive(Debug, thiserror::Error)]
#[error("the dead-letter stream did not take a message")]
pub struct ParkError(#[source] pub(crate) jetstream::context::PublishError);

/// Subject transforms on streams came with 2.10, priority groups and per-message limits with 2.11.
const OLDEST_SERVER: (u32, u32) = (2, 11);
