//! Repositories of Maven, asked for the projects that others need. Only small text files are fetched, and nothing of them is run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use image_inventory::Fetched;
use image_inventory::maven::Settings;
use model::{Fault, FaultKind};
use reqwest::{Client, Proxy, StatusCode, Url};
use tokio::runtime::Handle;

/// Asks repositories, each for each file once.
pub(crate) struct Repositories {
    client: Client,
    runtime: Handle,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By address.
    files: BTreeMap<String, Fetched>,
    /// Why hosts are not asked any more.
    silent: BTreeMap<String, String>,
}

impl Repositories {
    /// Must be called, and used, on a thread that may block.
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut client = Client::builder();
        if !settings.proxies.is_empty() {
            // Without any, those of the environment count.
            let settings = Arc::new(settings.clone());
            client = client.proxy(Proxy::custom(move |url| proxy_for(&settings, url)));
        }
        let client = client
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::limited(5))
            .user_agent(concat!("biotope/", env!("CARGO_PKG_VERSION")));
        // The settings above are fixed: building fails when the machine has no certificates, and then every request says so.
        let client = client.build().unwrap_or_default();
        Self { client, runtime: Handle::current(), known: Mutex::default() }
    }

    pub(crate) fn fetch(&self, repository: &str, path: &str) -> Fetched {
        let address = format!("{}/{path}", repository.trim_end_matches('/'));
        let Some(url) = Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return Fetched::Absent;
        };
        let host = name_of(&url);
        // The mirror by which Maven itself blocks repositories without TLS.
        if url.host_str() == Some("0.0.0.0") {
            return Fetched::Absent;
        }
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(file) = known.files.get(&address) {
                return file.clone();
            }
            if known.silent.contains_key(&host) {
                return Fetched::Absent;
            }
        }
        let asked = self.runtime.block_on(self.ask(url));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let file = asked.unwrap_or_else(|why| {
            known.silent.insert(host, why);
            Fetched::Absent
        });
        known.files.insert(address, file.clone());
        file
    }

    /// The file; an error when the host cannot be asked at all.
    async fn ask(&self, url: Url) -> Result<Fetched, String> {
        let host = name_of(&url);
        // The address may hold credentials.
        let mut answer = self.client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::TOO_MANY_REQUESTS => {
                return Ok(Fetched::Busy(format!(
                    "{host} answers 429 Too Many Requests: scan again later, or name a mirror"
                )));
            }
            status
                if status.is_server_error() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) =>
            {
                return Err(format!("it answers {status}"));
            }
            _ => return Ok(Fetched::Absent),
        }
        let mut bytes = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if bytes.len().saturating_add(chunk.len()) <= MAX_BYTES => {
                    bytes.extend_from_slice(&chunk)
                }
                Ok(None) => return Ok(Fetched::Found(bytes)),
                Ok(Some(_)) => return Err(format!("a project of more than {MAX_BYTES} bytes")),
                Err(error) => return Err(error.without_url().to_string()),
            }
        }
    }

    /// The hosts that could not be asked.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = |(host, why): (&String, &String)| {
            let what = format!("the repository cannot be asked, what projects need of it is not known: {why}");
            Fault::new(FaultKind::Warning, host, what)
                .cure("check the network and Maven's settings.xml, or scan with --offline")
        };
        known.silent.iter().map(fault).collect()
    }
}

/// Host and port.
fn name_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The proxy that the settings name for an address.
fn proxy_for(settings: &Settings, url: &Url) -> Option<Url> {
    let proxies = settings.proxies_for(url.scheme(), url.host_str().unwrap_or_default());
    let proxy = proxies.first()?;
    let mut address = Url::parse(&format!("http://{}", proxy.host)).ok()?;
    address.set_port(Some(proxy.port.parse().unwrap_or(8080))).ok()?;
    if !proxy.username.is_empty() {
        address.set_username(&proxy.username).ok()?;
        address.set_password(Some(&proxy.password)).ok()?;
    }
    Some(address)
}

/// 8 MiB: the largest project there is has a tenth of that.
const MAX_BYTES: usize = 8 << 20;
