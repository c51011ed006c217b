//! Many ExternalSecrets at a real API server and a real OpenBao: the first sync, the calls and the memory of the steady state, and the
//! time from a rotation at the vault to the Secret in the cluster.
//!
//! One client makes what the run needs at both servers, beside the broker: OpenBao over HTTP, as a person's script would, and the
//! cluster's objects by server-side apply.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use hdrhistogram::Histogram;
use kubernetes::{Cluster, Resource};
use parts::{KubeApiserver, OpenBao};
use serde_json::json;
use tokio::time::Instant;

use crate::platform::{Platform, Service, cpu_seconds};

/// Options of the run with secrets.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// ExternalSecrets, each with an entry of its own at the vault.
    #[arg(long, default_value_t = 10_000)]
    secrets: u32,
    /// Folders at the vault, and namespaces in the cluster.
    #[arg(long, default_value_t = 20)]
    folders: u32,
    /// Seconds of the steady state.
    #[arg(long, default_value_t = 60)]
    steady: u64,
    /// Rotations, four at a time.
    #[arg(long, default_value_t = 200)]
    rotations: u32,
    /// Lets OpenBao tell of changes by an audit device instead of being asked every second.
    #[arg(long)]
    audit: bool,
    /// The broker's binary. Default: beside this program.
    #[arg(long)]
    broker: Option<PathBuf>,
}

/// The servers and what the run knows of them.
struct Place {
    bao: OpenBao,
    server: KubeApiserver,
    cluster: Cluster,
    http: reqwest::Client,
    options: (u32, u32),
}

pub(crate) async fn run(platform: Platform, options: &Options) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    // Held until the broker listens there: a vault that sends to a port where nobody listens binds a new one for each entry, some time
    // that very port, and then tells itself.
    let held = options.audit.then(|| UdpSocket::bind("127.0.0.1:0")).transpose()?;
    let audit = held.as_ref().map(UdpSocket::local_addr).transpose()?.map(|address| address.port());
    let place = prepare(folder.path(), options, audit).await?;
    let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("secret-broker"));
    let program = options.broker.clone().map_or_else(beside, Ok)?;
    ensure!(program.is_file(), "{} is not there: build it beside this program", program.display());
    let listens = audit.map(|port| format!(", audit_address: '127.0.0.1:{port}'")).unwrap_or_default();
    let at = folder.path().display();
    let own = format!(
        "{{ kubernetes: {{ kubeconfig: {} }}, state: {at}/state, targets: {at}/targets{listens} }}",
        place.server.kubeconfig.display()
    );
    let (started, before) = (Instant::now(), place.processor_time());
    drop(held);
    let broker = platform.start_service("secret-broker", &program, &own)?;
    first_sync(&broker, &place, (started, before)).await?;
    steady(&broker, &place, options).await;
    let slow = rotate(&broker, &place, options).await?;
    memory(&broker);
    Ok(slow == 0)
}

/// Starts the servers and makes every object and every entry.
async fn prepare(folder: &Path, options: &Options, audit: Option<u16>) -> anyhow::Result<Place> {
    let bao = match audit {
        Some(port) => OpenBao::start_configured(&folder.join("bao"), "root", &telling(port)),
        None => OpenBao::start(&folder.join("bao"), "root"),
    };
    let bao = bao.context("cannot start OpenBao")?;
    let server = KubeApiserver::start(&folder.join("kubernetes")).context("cannot start a kube-apiserver")?;
    for crds in [CRDS, GENERATORS] {
        server.apply(crds)?;
    }
    server.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/externalsecrets.external-secrets.io",
        "--timeout=60s",
    ])?;
    let cluster = Cluster::connect(Some(&server.kubeconfig)).await?;
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let place = Place { bao, server, cluster, http, options: (options.secrets, options.folders.max(1)) };
    let started = Instant::now();
    place.server.apply(&stores(&place))?;
    for namespace in 0..place.options.1 {
        let object =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": format!("n{namespace}") } });
        place.cluster.apply(&Resource::new("", "v1", "Namespace", "namespaces"), &object, "loadtest").await?;
    }
    let made: Vec<anyhow::Result<()>> =
        futures::stream::iter(0..options.secrets).map(|number| place.make(number)).buffer_unordered(32).collect().await;
    made.into_iter().collect::<anyhow::Result<()>>()?;
    println!("made {} entries and ExternalSecrets in {:.1} s", options.secrets, started.elapsed().as_secs_f64());
    Ok(place)
}

/// An audit device that tells the broker; over UDP, so that a vault never waits for it.
fn telling(port: u16) -> String {
    format!("audit \"socket\" \"broker\" {{ options {{ address = \"127.0.0.1:{port}\", socket_type = \"udp\" }} }}\n")
}

fn stores(place: &Place) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: bao-token, namespace: default }}\nstringData: {{ token: root }}\n---\napiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {{ name: bao }}\nspec:\n  provider:\n    vault:\n      server: {}\n      path: secret\n      auth: {{ tokenSecretRef: {{ name: bao-token, namespace: default, key: token }} }}\n",
        place.bao.address
    )
}

impl Place {
    fn path(&self, number: u32) -> String {
        format!("team-{}/s{number}", number % self.options.1)
    }

    fn namespace(&self, number: u32) -> String {
        format!("n{}", number % self.options.1)
    }

    async fn make(&self, number: u32) -> anyhow::Result<()> {
        self.put(number, "first").await?;
        let object = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": { "name": format!("s{number}"), "namespace": self.namespace(number) },
            "spec": {
                "refreshInterval": "1h", "secretStoreRef": { "kind": "ClusterSecretStore", "name": "bao" },
                "data": [{ "secretKey": "password", "remoteRef": { "key": self.path(number), "property": "password" } }],
            },
        });
        let kind = Resource::new("external-secrets.io", "v1", "ExternalSecret", "externalsecrets");
        self.cluster.apply(&kind, &object, "loadtest").await?;
        Ok(())
    }

    /// Writes an entry at the vault.
    async fn put(&self, number: u32, value: &str) -> anyhow::Result<()> {
        let url = format!("{}/v1/secret/data/{}", self.bao.address, self.path(number));
        let body = json!({ "data": { "password": value, "user": "app" } });
        let answer = self.http.post(url).header("X-Vault-Token", "root").json(&body).send().await?;
        ensure!(answer.status().is_success(), "OpenBao says {}", answer.status());
        Ok(())
    }

    /// The value that the Secret holds, in base64.
    async fn held(&self, number: u32) -> anyhow::Result<String> {
        let path = format!("/api/v1/namespaces/{}/secrets/s{number}", self.namespace(number));
        let object = self.cluster.get(&path).await?.unwrap_or_default();
        Ok(object.pointer("/data/password").and_then(|value| value.as_str()).unwrap_or_default().to_owned())
    }

    /// How many Secrets are there. With a selector the server does not say how many it left out, so all are listed.
    async fn secrets(&self) -> anyhow::Result<usize> {
        let path = "/api/v1/secrets?labelSelector=reconcile.external-secrets.io/managed%3Dtrue";
        let list = self.cluster.get(path).await?.unwrap_or_default();
        Ok(list.get("items").and_then(|items| items.as_array()).map_or(0, Vec::len))
    }

    fn processor_time(&self) -> [f64; 3] {
        [&self.bao.process, &self.server.process, &self.server.etcd]
            .map(|process| cpu_seconds(&process.id().to_string()))
    }
}

async fn first_sync(broker: &Service, place: &Place, (started, before): (Instant, [f64; 3])) -> anyhow::Result<()> {
    let wanted = usize::try_from(place.options.0)?;
    loop {
        let there = broker.metric("secret_broker_syncs_total");
        if there >= f64::from(place.options.0) && place.secrets().await? >= wanted {
            break;
        }
        ensure!(started.elapsed() < LIMIT, "{there} of {wanted} after {} s", LIMIT.as_secs());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "first sync of {wanted}: {took:.1} s from the start of the broker, {:.0}/s, {:.0} vault calls",
        f64::from(place.options.0) / took,
        broker.metric("secret_broker_store_calls_total"),
    );
    let now = place.processor_time();
    println!(
        "processor time: broker {:.1} s, OpenBao {:.1} s, kube-apiserver {:.1} s, etcd {:.1} s",
        broker.cpu_seconds(),
        now[0] - before[0],
        now[1] - before[1],
        now[2] - before[2]
    );
    memory(broker);
    Ok(())
}

async fn steady(broker: &Service, place: &Place, options: &Options) {
    // Conditions and events of the first sync are written behind it.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let calls = || broker.metric("secret_broker_store_calls_total");
    let (before, own, others, started) = (calls(), broker.cpu_seconds(), place.processor_time(), Instant::now());
    tokio::time::sleep(Duration::from_secs(options.steady)).await;
    let seconds = started.elapsed().as_secs_f64();
    let a_day = (calls() - before) / seconds * 86_400.0;
    // At its default interval of an hour upstream logs in, reads, looks its token up and revokes it, for each of them.
    let upstream = f64::from(options.secrets) * 4.0 * 24.0;
    println!("steady state: {a_day:.0} vault calls a day; upstream makes {upstream:.0} at its default interval");
    let load = |now: f64, before: f64| (now - before) / seconds * 100.0;
    let [bao, server, etcd] = place.processor_time();
    println!(
        "processors: broker {:.1} %, OpenBao {:.1} %, kube-apiserver {:.1} %, etcd {:.1} %",
        load(broker.cpu_seconds(), own),
        load(bao, others[0]),
        load(server, others[1]),
        load(etcd, others[2])
    );
}

/// Rotates at the vault and waits for the Secret; gives how many did not follow.
async fn rotate(broker: &Service, place: &Place, options: &Options) -> anyhow::Result<usize> {
    let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let chosen = |turn: u32| turn.wrapping_mul(2_654_435_761) % options.secrets.max(1);
    let before = broker.metric("secret_broker_store_calls_total");
    let turns = futures::stream::iter(0..options.rotations).map(|turn| one(place, turn, chosen(turn)));
    let took: Vec<anyhow::Result<Option<Duration>>> = turns.buffer_unordered(4).collect().await;
    let mut slow = 0;
    for took in took {
        match took? {
            Some(took) => latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
            None => slow += 1,
        }
    }
    let at = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "rotation at the vault to the Secret in the cluster: p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms, {slow} not within 20 s, {:.0} vault calls",
        at(0.5),
        at(0.99),
        latency.max() as f64 / 1e3,
        broker.metric("secret_broker_store_calls_total") - before
    );
    Ok(slow)
}

async fn one(place: &Place, turn: u32, number: u32) -> anyhow::Result<Option<Duration>> {
    // Not in step with the broker's own looks.
    tokio::time::sleep(Duration::from_millis(u64::from(turn.wrapping_mul(7_919) % 1_000))).await;
    let before = place.held(number).await?;
    place.put(number, &format!("turn-{turn}")).await?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if place.held(number).await? != before {
            return Ok(Some(started.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(None)
}

fn memory(broker: &Service) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.id())).unwrap_or_default();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    println!("memory of the broker: {:.0} MB, at most {:.0} MB", value("VmRSS:"), value("VmHWM:"));
}

const CRDS: &str = include_str!("../../services/secret-broker/crds/external-secrets.io.yaml");
const GENERATORS: &str = include_str!("../../services/secret-broker/crds/generators.external-secrets.io.yaml");
/// For the first sync on a small machine.
const LIMIT: Duration = Duration::from_secs(900);
