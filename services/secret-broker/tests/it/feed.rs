//! A vault that tells of changes by its audit device is hardly asked, and its changes arrive at once.

use std::time::{Duration, Instant};

use testkit::parts::{free_port, wait_until};

use crate::calls::calls;
use crate::world::{LIMIT, World};

fn manifest(server: &str, store: &str, names: &[&str]) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: token }}\nstringData: {{ token: root }}\n---\napiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: {store} }}\nspec: {{ provider: {{ vault: {{ server: '{server}', path: secret, auth: {{ tokenSecretRef: {{ name: token, key: token }} }} }} }} }}\n"
    );
    for name in names {
        let target = name.replace('/', "-");
        text.push_str(&format!("---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: {store}-{target} }}\nspec: {{ secretStoreRef: {{ name: {store} }}, data: [{{ secretKey: k, remoteRef: {{ key: {name}, property: k }} }}] }}\n"));
    }
    text
}

fn audit(kind: &str, port: u16) -> String {
    format!(
        "audit \"socket\" \"broker\" {{ options {{ address = \"127.0.0.1:{port}\", socket_type = \"{kind}\" }} }}\n"
    )
}

async fn telling(world: &World) -> Option<u64> {
    let text = world.admin("metrics").await;
    text.lines().find_map(|line| line.strip_prefix("secret_broker_stores_telling ")?.parse().ok())
}

async fn until_telling(world: &World, wanted: u64) {
    let started = Instant::now();
    while telling(world).await != Some(wanted) {
        assert!(started.elapsed() < LIMIT, "{:?} vaults tell:\n{}", telling(world).await, world.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_vault_tells_needs_no_calls() {
    let port = free_port().unwrap();
    let Some(bao) = testkit::parts::openbao_configured(|_| audit("udp", port)) else { return };
    for name in ["team/a", "team/b", "other/c"] {
        bao.command(&["kv", "put", &format!("secret/{name}"), "k=canary-1"]).unwrap();
    }
    let Some(mut world) = World::start_at(bao, &format!("  audit_address: '127.0.0.1:{port}'\n")).await else { return };
    let names = ["team/a", "team/b", "other/c"];
    world.manifest("one.yaml", &manifest(&world.bao.address, "one", &names));
    for name in names {
        let path = world.target(&format!("default/one-{}/k", name.replace('/', "-")));
        assert!(wait_until(LIMIT, || path.exists().then_some(())).is_some(), "{}", world.log());
    }
    until_telling(&world, 1).await;
    // The broker of these tests looks every 200 ms where nobody tells: here it does not, and sees the change all the same.
    let before = calls(&world).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = calls(&world).await - before;
    assert!(idle <= 1, "{idle} calls in five seconds");
    let path = world.target("default/one-team-b/k");
    for turn in 2..6 {
        let value = format!("canary-{turn}");
        world.bao.command(&["kv", "put", "secret/team/b", &format!("k={value}")]).unwrap();
        let seen = wait_until(LIMIT, || (std::fs::read_to_string(&path).ok()? == value).then_some(()));
        assert!(seen.is_some(), "{}", world.log());
    }
    let made = calls(&world).await - before - idle;
    // A check and a read for each change, and a second look where an entry came while the first was on its way.
    assert!(made <= 4 * 4, "{made} calls for four changes");
    // A look every half hour makes 48 calls in a day, for all of a mount together; upstream makes 96 for each manifest at its default
    // interval of an hour (a login, a read, a look at its token, a logout).
    let (ours, upstream) = (86_400 / 1_800, 4 * 86_400 / 3_600);
    assert!(ours < upstream);
    // A secret that goes is told as well.
    world.bao.command(&["kv", "metadata", "delete", "secret/other/c"]).unwrap();
    assert!(world.event("sync-failed").await.data["reason"].as_str().unwrap().contains("other/c"));

    // A second vault tells over TCP. When it goes, whoever tells has to prove it again, and what does not is asked.
    let Some(mut second) = testkit::parts::openbao_configured(|_| audit("tcp", port)) else { return };
    second.command(&["kv", "put", "secret/d", "k=canary-1"]).unwrap();
    world.manifest("two.yaml", &manifest(&second.address, "two", &["d"]));
    until_telling(&world, 2).await;
    second.command(&["kv", "put", "secret/d", "k=canary-2"]).unwrap();
    let path = world.target("default/two-d/k");
    let seen = wait_until(LIMIT, || (std::fs::read_to_string(&path).ok()? == "canary-2").then_some(()));
    assert!(seen.is_some(), "{}", world.log());
    second.process.kill();
    until_telling(&world, 1).await;
    world.said("a vault stopped telling of changes");
    world.bao.command(&["kv", "put", "secret/team/a", "k=canary-9"]).unwrap();
    let path = world.target("default/one-team-a/k");
    let seen = wait_until(LIMIT, || (std::fs::read_to_string(&path).ok()? == "canary-9").then_some(()));
    assert!(seen.is_some(), "{}", world.log());
    let told = world.everything().await;
    assert!(!told.contains("canary"), "a value was told: {told}");
}

/// A list of many entries is too long for a packet of UDP: a vault with no other device refuses it then. What changes is seen all the
/// same, and the vault counts as one that tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_told_loses_nothing() {
    let port = free_port().unwrap();
    let Some(bao) = testkit::parts::openbao_configured(|_| audit("udp", port)) else { return };
    service::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let put = |name: String, value: &'static str| {
        let url = format!("{}/v1/secret/data/{name}", bao.address);
        let request = client.post(url).header("X-Vault-Token", "root");
        async move {
            let body = serde_json::json!({ "data": { "k": value } });
            assert!(request.json(&body).send().await.unwrap().status().is_success(), "{name}");
        }
    };
    for number in 0..300 {
        put(format!("team/other-{number}"), "canary-1").await;
    }
    let names = ["team/a", "team/b", "team/c"];
    for name in names {
        put(name.to_owned(), "canary-1").await;
    }
    let address = bao.address.clone();
    let Some(world) = World::start_at(bao, &format!("  audit_address: '127.0.0.1:{port}'\n")).await else { return };
    world.manifest("one.yaml", &manifest(&address, "one", &names));
    let held = |name: &str| world.target(&format!("default/one-{}/k", name.replace('/', "-")));
    let all_hold = |value: &str| {
        let is_held = |name: &&str| std::fs::read_to_string(held(name)).is_ok_and(|held| held == value);
        names.iter().all(is_held).then_some(())
    };
    assert!(wait_until(LIMIT, || all_hold("canary-1")).is_some(), "{}", world.log());
    until_telling(&world, 1).await;
    for value in ["canary-2", "canary-3"] {
        // All at once, so that they are asked about together.
        let put = |name: &str| {
            let url = format!("{address}/v1/secret/data/{name}");
            client.post(url).header("X-Vault-Token", "root").json(&serde_json::json!({ "data": { "k": value } })).send()
        };
        let (a, b, c) = tokio::join!(put(names[0]), put(names[1]), put(names[2]));
        assert!([a, b, c].iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status().is_success())));
        assert!(wait_until(LIMIT, || all_hold(value)).is_some(), "{value}: {}", world.log());
    }
    assert_eq!(telling(&world).await, Some(1));
}

/// Whoever reaches the port can ask for looks, and cannot make the broker look less.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_make_the_broker_look_away() {
    use std::io::Write as _;
    let port = free_port().unwrap();
    let Some(bao) = testkit::parts::openbao() else { return };
    bao.command(&["kv", "put", "secret/a", "k=canary-1"]).unwrap();
    let Some(world) = World::start_at(bao, &format!("  audit_address: '127.0.0.1:{port}'\n")).await else { return };
    world.manifest("one.yaml", &manifest(&world.bao.address, "one", &["a"]));
    let path = world.target("default/one-a/k");
    assert!(wait_until(LIMIT, || path.exists().then_some(())).is_some(), "{}", world.log());
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let entry = r#"{"type":"response","request":{"id":"1","operation":"update","mount_point":"secret/","path":"secret/data/a"}}"#;
    let junk = "x".repeat(100_000);
    write!(stream, "{entry}\nno entry\n{{\n{junk}\n{entry}\n\u{0}").unwrap();
    let before = calls(&world).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(calls(&world).await > before, "it is asked as before");
    assert_eq!(telling(&world).await, Some(0));
    world.bao.command(&["kv", "put", "secret/a", "k=canary-2"]).unwrap();
    let seen = wait_until(LIMIT, || (std::fs::read_to_string(&path).ok()? == "canary-2").then_some(()));
    assert!(seen.is_some(), "{}", world.log());
}

/// Packets that do not arrive any more say nothing: who sent them is asked, and looked at again.
#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_falls_silent_is_found_out() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static IS_SILENT: AtomicBool = AtomicBool::new(false);
    let (port, between) = (free_port().unwrap(), std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let told = between.local_addr().unwrap().port();
    let Some(bao) = testkit::parts::openbao_configured(|_| audit("udp", told)) else { return };
    std::thread::spawn(move || {
        let mut packet = vec![0; 65_536];
        while let Ok((length, _)) = between.recv_from(&mut packet) {
            if !IS_SILENT.load(Ordering::Relaxed) {
                let _ = between.send_to(&packet[..length], ("127.0.0.1", port));
            }
        }
    });
    // So many that it is asked every ten seconds, in folders of which no list is too long to be told.
    let names: Vec<String> = (0..400).map(|number| format!("team-{}/{number}", number % 40)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    service::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (address, body) = (bao.address.clone(), serde_json::json!({ "data": { "k": "canary-1" } }));
    for name in &names {
        let request = client.post(format!("{address}/v1/secret/data/{name}")).header("X-Vault-Token", "root");
        assert!(request.json(&body).send().await.unwrap().status().is_success(), "{name}");
    }
    let Some(world) = World::start_at(bao, &format!("  audit_address: '127.0.0.1:{port}'\n")).await else { return };
    world.manifest("one.yaml", &manifest(&address, "one", &names));
    let path = |name: &str| world.target(&format!("default/one-{}/k", name.replace('/', "-")));
    let all = || names.iter().all(|name| path(name).exists()).then_some(());
    assert!(wait_until(LIMIT, all).is_some(), "{}", world.log());
    until_telling(&world, 1).await;
    IS_SILENT.store(true, Ordering::Relaxed);
    world.bao.command(&["kv", "put", &format!("secret/{}", names[7]), "k=canary-2"]).unwrap();
    until_telling(&world, 0).await;
    let seen = || (std::fs::read_to_string(path(names[7])).ok()? == "canary-2").then_some(());
    assert!(wait_until(LIMIT, seen).is_some(), "{}", world.log());
    world.said("a vault does not tell of changes any more");
    IS_SILENT.store(false, Ordering::Relaxed);
    until_telling(&world, 1).await;
}
