//! Faults of the vault, made by a proxy in front of a real one: what is wrong is said at the manifest, in an event and by the metrics; the
//! last good Secret stays; everything heals by itself.

use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use testkit::parts::{self, free_port, wait_until};

use crate::cluster_world::{LIMIT, World, encoded, external, store_at};
use crate::proxy::{Fault, Proxy};

const PASSWORD: &str = "{.data.password}";

/// A synced Secret behind `proxy`.
fn synced(world: &World, proxy: &Proxy) {
    world.server.apply(&store_at(&proxy.address, "")).unwrap();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-0"]).unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-0"));
    world.until_ready("db");
}

/// After a fault: what changed meanwhile arrives, and the manifest is well.
fn heals(world: &World, turn: u32, before: &str) -> String {
    let value = format!("canary-{turn}");
    world.until("secret", "db", PASSWORD, &encoded(before));
    world.bao.command(&["kv", "put", "secret/db", &format!("password={value}")]).unwrap();
    world.until("secret", "db", PASSWORD, &encoded(&value));
    world.until_ready("db");
    let failing = || world.metric("secret_broker_external_secrets", "state=\"failing\"");
    assert!(wait_until(LIMIT, || (failing() == 0).then_some(())).is_some(), "{} are failing", failing());
    value
}

#[test]
fn faults_of_the_line_and_the_server_are_said_and_heal() {
    let Some(bao) = parts::openbao() else { return };
    let Some(world) = World::start_with(bao, "  store_timeout_s: 2\n  stale_after_s: 4\n") else { return };
    let proxy = Proxy::http(&world.bao.address);
    synced(&world, &proxy);
    let cases = [
        (Fault::Status(500, ""), "the server failed (500)"),
        (Fault::Status(502, ""), "the server failed (502)"),
        (Fault::Status(503, "retry-after: 1\r\n"), "the server is sealed or not active (503)"),
        (Fault::Slow(Duration::from_secs(4)), "the server did not answer within 2 s"),
        (Fault::Cut, "broke off"),
        (Fault::Refuse, "the connection broke off"),
    ];
    let mut held = "canary-0".to_owned();
    for (turn, (fault, words)) in (1_u32..).zip(cases) {
        let failures = world.metric("secret_broker_syncs_total", "failed");
        proxy.set(fault);
        world.until_failed("db", words);
        assert!(world.metric("secret_broker_syncs_total", "failed") > failures);
        let is_failing = || (world.metric("secret_broker_external_secrets", "state=\"failing\"") == 1).then_some(());
        assert!(wait_until(LIMIT, is_failing).is_some(), "{words}: no manifest counts as failing");
        proxy.set(Fault::None);
        held = heals(&world, turn, &held);
    }
    // For longer than it may be silent: stale as well.
    proxy.set(Fault::Status(500, ""));
    let stale = || (world.metric("secret_broker_external_secrets", "state=\"stale\"") == 1).then_some(());
    assert!(wait_until(LIMIT, stale).is_some(), "{}", world.log());
    world.until_it("externalsecret", "db", "{.status.conditions[0].reason}", |said| {
        !said.is_empty() && said != "SecretSynced"
    });
    proxy.set(Fault::None);
    heals(&world, 90, &held);
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}

#[test]
fn a_server_that_asks_for_fewer_calls_gets_none() {
    let Some(bao) = parts::openbao() else { return };
    let Some(world) = World::start_with(bao, "") else { return };
    let proxy = Proxy::http(&world.bao.address);
    synced(&world, &proxy);
    proxy.set(Fault::Status(429, "retry-after: 6\r\n"));
    world.until_failed("db", "the server asks for fewer calls (429)");
    // Many manifests and a look every 200 ms: the server hears nothing until its time is over, and then once.
    let since = Instant::now();
    for name in ["a", "b", "c"] {
        world.bao.command(&["kv", "put", &format!("secret/{name}"), "password=canary-x"]).unwrap();
        world.server.apply(&external(name, "{}")).unwrap();
    }
    std::thread::sleep(Duration::from_secs(14));
    let asked = proxy.asked(since);
    assert!(asked.len() <= 4, "{asked:?}");
    proxy.set(Fault::None);
    heals(&world, 1, "canary-0");
}

#[test]
fn a_vault_that_is_sealed_in_the_middle_is_waited_for() {
    let Some(world) = World::start() else { return };
    world.bao.command(&["kv", "put", "secret/db", "password=canary-0"]).unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-0"));
    let log = std::fs::read_to_string(world.bao.process.log()).unwrap();
    let key = log.lines().find_map(|line| line.strip_prefix("Unseal Key: ")).unwrap().trim().to_owned();
    world.bao.command(&["operator", "seal"]).unwrap();
    world.until_failed("db", "the server is sealed or not active (503)");
    let said = world.until_it("externalsecret", "db", "{.status.conditions[0].message}", |_| true);
    assert!(said.contains("bao operator unseal"), "{said}");
    world.bao.command(&["operator", "unseal", &key]).unwrap();
    heals(&world, 1, "canary-0");
}

#[test]
fn a_token_that_ends_is_renewed_and_a_new_one_is_taken() {
    let Some(world) = World::start() else { return };
    world.bao.command(&["kv", "put", "secret/db", "password=canary-0"]).unwrap();
    let token = |life: &str, most: &str| {
        let made = ["token", "create", "-field=token", "-policy=root", "-orphan", life, most];
        world.bao.command(&made).unwrap().trim().to_owned()
    };
    let give = |token: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: bao-token }}\nstringData: {{ token: {token} }}\n"
        );
        world.server.apply(&text).unwrap();
    };
    // Renewed for as long as the server lets it be: three lives of ten seconds, in which it has to be taken up on a busy machine too.
    let short = token("-ttl=10s", "-explicit-max-ttl=30s");
    give(&short);
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-0"));
    let renewed =
        || (world.metric("secret_broker_store_calls_total", "call=\"renew\",outcome=\"ok\"") >= 1).then_some(());
    assert!(wait_until(LIMIT, renewed).is_some(), "{}", world.log());
    world.until_failed("db", "the server refused the login");
    give(&token("-ttl=1h", "-explicit-max-ttl=2h"));
    heals(&world, 1, "canary-0");
    assert!(!world.log().contains(&short), "a token stands in the log");
}

/// A certificate of an authority's own for 127.0.0.1, which ends at `end` (year, month, day).
pub(crate) fn certificate(authority: &CertifiedIssuer<'_, KeyPair>, end: (i32, u8, u8)) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(end.0, end.1, end.2);
    (parameters.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn certificates_of_the_server_are_rotated() {
    let port = free_port().unwrap();
    let (first, second) = (authority(), authority());
    let far = (2090, 1, 1);
    let write = |folder: &std::path::Path, (certificate, key): (String, String)| {
        std::fs::write(folder.join("server.crt"), certificate).unwrap();
        std::fs::write(folder.join("server.key"), key).unwrap();
    };
    let bao = parts::openbao_configured(|folder| {
        write(folder, certificate(&first, far));
        let at = folder.display();
        format!(
            "listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_cert_file = \"{at}/server.crt\"\n  tls_key_file = \"{at}/server.key\"\n}}\n"
        )
    });
    let Some(bao) = bao else { return };
    let Some(world) = World::start_with(bao, "") else { return };
    let proxy = Proxy::bytes(&format!("https://127.0.0.1:{port}"));
    let trust = |text: String| {
        let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
        world
            .server
            .apply(&format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: authority }}\ndata:\n  ca.crt: |\n{lines}"
            ))
            .unwrap();
    };
    trust(first.pem());
    world
        .server
        .apply(&store_at(&proxy.address, "      caProvider: { type: ConfigMap, name: authority, key: ca.crt }\n"))
        .unwrap();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-0"]).unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-0"));
    let rotate = |made: (String, String)| {
        write(world.bao.folder(), made);
        world.bao.process.reload();
    };
    // The server takes a moment, and what is open goes on with what it began with: lines are cut until it shows.
    let cutting = |until: &dyn Fn()| {
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    proxy.cut();
                    std::thread::sleep(Duration::from_millis(1_500));
                }
            });
            // A panic inside would wait for the other thread for ever.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(until));
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        });
    };
    // A new one of the same authority: nobody notices.
    rotate(certificate(&first, far));
    let held = heals(&world, 1, "canary-0");
    // One that has ended, and one of another authority.
    rotate(certificate(&first, (2020, 1, 1)));
    cutting(&|| world.until_failed("db", "certificate is not trusted, or has expired"));
    rotate(certificate(&second, far));
    world.until("secret", "db", PASSWORD, &encoded(&held));
    world.until_failed("db", "certificate is not trusted, or has expired");
    trust(second.pem());
    heals(&world, 2, &held);
}
