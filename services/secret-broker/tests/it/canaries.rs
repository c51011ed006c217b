//! Values that nobody else has are looked for in everything that the broker says to anybody.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Bus, From, Origin};
use schemas::ask::{RotateReply, RotateRequest};
use testkit::parts::{self, wait_until};

use crate::cluster_world::{LIMIT, World, admin, encoded, external, launch};

/// Takes what an exporter of traces sends (gRPC over HTTP/2), without an answer: the frames are in plain text.
fn receiver() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
    let shared = taken.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let taken = shared.clone();
            std::thread::spawn(move || {
                // An empty frame of settings: the server's part of the greeting (RFC 9113, 3.4).
                let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
                let mut chunk = [0_u8; 16_384];
                while let Ok(read @ 1..) = stream.read(&mut chunk) {
                    taken.lock().unwrap().extend_from_slice(&chunk[..read]);
                }
            });
        }
    });
    (address, taken)
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle.as_bytes())
}

async fn join(world: &World) -> Bus {
    let config = bus::Config { servers: vec![world.nats.url()], connect_timeout_s: 10, ..bus::Config::default() };
    let (cluster, service) = ("local".parse().unwrap(), "tester".to_owned());
    let bus = Bus::connect(&config, Origin { cluster, service, instance: "1".to_owned(), node: None }).await.unwrap();
    bus.ensure_streams().await.unwrap();
    bus
}

/// Every file below `folder` that holds one of `canaries`, core files among them.
fn files_with(folder: &Path, canaries: &[String]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, canaries));
        } else if std::fs::read(&path).is_ok_and(|bytes| canaries.iter().any(|canary| holds(&bytes, canary))) {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_told_to_nobody() {
    let Some(bao) = parts::openbao() else { return };
    let (traces, traced) = receiver();
    // The section of the broker ends here: telemetry is one of its own.
    let Some(mut world) = World::start_with(bao, &format!("telemetry: {{ log: trace, otlp_endpoint: '{traces}' }}\n"))
    else {
        return;
    };
    let bus = join(&world).await;
    let mut cursors: Vec<_> =
        ["BIOTOPE_EVENTS", "BIOTOPE_DEAD_LETTERS"].map(|stream| bus.cursor(stream, From::Beginning, Vec::new())).into();
    let names = ["plain", "template", "wrong", "webhook", "token", "rotated"];
    let canaries: Vec<String> = names.iter().map(|name| format!("canary-{name}-8f3a5c71")).collect();
    let spoken: Vec<String> = canaries.iter().flat_map(|canary| [canary.clone(), encoded(canary)]).collect();
    for (name, canary) in names.iter().zip(&canaries) {
        world.bao.command(&["kv", "put", &format!("secret/{name}"), &format!("password={canary}")]).unwrap();
    }
    // Read, rendered, and rendered wrongly in ways whose messages could quote what they met.
    world.server.apply(&external("plain", "{}")).unwrap();
    world
        .server
        .apply(&external("template", "{ template: { data: { password: 'x {{ .password | b64enc }}' } } }"))
        .unwrap();
    for (turn, text) in [
        "{{ .password | fromJson }}",
        "{{ index .password 99 }}",
        "{{ fail .password }}",
        "{{ .password.x }}",
        "{{ toDate \"x\" .password }}",
        "{{ pkcs12key .password }}",
    ]
    .iter()
    .enumerate()
    {
        let wrong = external("wrong", &format!("{{ template: {{ data: {{ password: '{text}' }} }} }}"));
        world.server.apply(&wrong.replace("name: wrong,", &format!("name: wrong-{turn},"))).unwrap();
    }
    world
        .server
        .apply(&external("token", "{}").replace("password } }", "password, decodingStrategy: Base64 } }"))
        .unwrap();
    // A webhook whose answer is an error that quotes a value.
    let canary = canaries[3].clone();
    let server = crate::wider::Server::start(move |_, _| (500, format!("no such thing as {canary}")));
    world.server.apply(&format!("apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: hook }}\nspec: {{ provider: {{ webhook: {{ url: '{}/x?token={}', result: {{ jsonPath: '$' }} }} }} }}\n", server.address, canaries[4])).unwrap();
    world.server.apply(&external("webhook", "{}").replace("name: bao,", "name: hook,")).unwrap();
    world.until("secret", "plain", "{.data.password}", &encoded(&canaries[0]));
    world.until_it("secret", "template", "{.data.password}", |said| !said.is_empty());
    for name in ["wrong-0", "wrong-1", "wrong-2", "wrong-3", "wrong-4", "wrong-5"] {
        // Some of them are no error to the template language.
        world.until_it("externalsecret", name, "{.status.conditions[0].status}", |said| !said.is_empty());
    }
    for name in ["wrong-1", "wrong-2", "webhook"] {
        world.until("externalsecret", name, "{.status.conditions[0].status}", "False");
    }
    // A rotation makes a value that nobody knows beforehand.
    world.server.apply(&external("rotated", "{}")).unwrap();
    world.until_ready("rotated");
    let request = RotateRequest {
        store: "SecretStore default/bao".to_owned(),
        path: "rotated".to_owned(),
        reason: "test".to_owned(),
    };
    let reply: RotateReply = bus.ask(("secret-broker", "rotate"), &request, LIMIT).await.unwrap();
    assert_eq!(reply.version, "2");
    let made = world.bao.command(&["kv", "get", "-field=password", "secret/rotated"]).unwrap().trim().to_owned();
    world.until("secret", "rotated", "{.data.password}", &encoded(&made));
    let spoken: Vec<String> = spoken.into_iter().chain([encoded(&made), made]).collect();

    let mut told = Vec::new();
    for cursor in &mut cursors {
        loop {
            let batch = cursor.next_batch(500, Duration::from_secs(1)).await;
            if batch.is_empty() {
                break;
            }
            batch.iter().for_each(|stored| told.extend_from_slice(&stored.payload));
        }
    }
    assert!(holds(&told, "SecretStore default/bao"), "events were read");
    for path in ["/metrics", "/faults", "/ready"] {
        told.extend(admin(world.folder.path(), path).into_bytes());
    }
    for what in
        [["get", "events", "-o", "yaml"], ["get", "externalsecrets", "-o", "yaml"], ["get", "leases", "-o", "yaml"]]
    {
        told.extend(world.server.kubectl(&what).unwrap().into_bytes());
    }
    told.extend(world.log().into_bytes());
    assert!(holds(&told, "SecretSyncedError"));
    // What the store's manifest itself holds in its address is its author's, so the API's copy of it is not looked at above.
    let leaked: Vec<&String> = spoken.iter().filter(|canary| holds(&told, canary)).collect();
    assert!(leaked.is_empty(), "{leaked:?} was told");
    let wait = || (!traced.lock().unwrap().is_empty() && holds(&traced.lock().unwrap(), "secret-broker")).then_some(());
    assert!(wait_until(LIMIT, wait).is_some(), "no traces came: {} bytes", traced.lock().unwrap().len());
    let leaked: Vec<&String> = spoken.iter().filter(|canary| holds(&traced.lock().unwrap(), canary)).collect();
    assert!(leaked.is_empty(), "{leaked:?} was traced");

    // A crash leaves nothing behind.
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", world.broker.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    world.broker.abort();
    let left = files_with(world.folder.path(), &spoken);
    assert!(left.is_empty(), "{left:?} hold values");
    world.broker = launch(world.folder.path());
    world.until_ready("plain");
}
