//! The platform as its chart deploys it, on a real node: a real Deployment becomes one incident, and the responses close the loop.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::corpus::workspace_root;
use testkit::parts::{self, BUSYBOX_IMAGE, Cluster, ImageFile, Tool, wait_until};

use crate::chart::{SERVICES, chart, helm};
use crate::{program, said};

const NATS: &str = "10.96.77.77";
const LIMIT: Duration = Duration::from_secs(120);

/// Lets pods reach a server that listens on this machine's loopback, at the same port of the address that they know it by.
fn forward(outside: &str, port: u16) {
    let listener = TcpListener::bind((outside, port)).unwrap();
    std::thread::spawn(move || {
        for from in listener.incoming().flatten() {
            let Ok(to) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            for (mut from, mut to) in [(from.try_clone().unwrap(), to.try_clone().unwrap()), (to, from)] {
                std::thread::spawn(move || {
                    drop(std::io::copy(&mut from, &mut to));
                    drop(to.shutdown(std::net::Shutdown::Write));
                });
            }
        }
    });
}

fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

/// Gives the node the images of our programs, made from what was built. `None`, loudly, when it was not.
fn load_images(cluster: &Cluster, folder: &Path) -> Option<()> {
    let load = |name: &str, program: &Path| {
        let archive = folder.join("image.tar");
        fs::write(&archive, parts::program_archive(name, program).unwrap()).unwrap();
        cluster.ctr(&["images", "import", &archive.display().to_string()]).unwrap();
    };
    for service in SERVICES {
        load(&format!("localhost/biotope/{service}:0.1.0"), &program(service)?);
    }
    load("localhost/nats-server:1", &parts::find(Tool::NatsServer).unwrap());
    Some(())
}

/// An image of busybox and an old Python package, in a real registry.
fn push_web(cluster: &Cluster, folder: &Path, reference: &str) {
    let package = parts::tools_folder().join("demo-packages-1/urllib3-1.26.4.dist-info/METADATA");
    let (metadata, busybox) = (fs::read(package).unwrap(), fs::read(parts::find(Tool::Busybox).unwrap()).unwrap());
    let mut files =
        vec![ImageFile::program("bin/busybox", &busybox), ImageFile::text("etc/shadow", "root:*:1:0:99999:7:::\n")];
    files.extend(
        ["bin/sh", "bin/cat", "bin/sleep", "bin/nc", "bin/true"].map(|path| ImageFile::link(path, "/bin/busybox")),
    );
    files.push(ImageFile {
        path: "usr/lib/python3/dist-packages/urllib3-1.26.4.dist-info/METADATA",
        content: &metadata,
        mode: 0o644,
        is_link: false,
        owner: 0,
    });
    let archive = folder.join("web.tar");
    fs::write(&archive, parts::docker_archive(reference, &files, &["/bin/sh"])).unwrap();
    cluster.ctr(&["images", "import", &archive.display().to_string()]).unwrap();
    cluster.ctr(&["images", "push", "--plain-http", reference]).unwrap();
    // So that the node has to pull it, as nodes do.
    cluster.ctr(&["images", "rm", "--sync", reference]).unwrap();
}

fn values(cluster: &Cluster, registry: &str) -> Value {
    let small = json!({ "requests": { "cpu": "5m", "memory": "16Mi" } });
    let storage = json!({ "persistent": false, "size": "1Gi" });
    json!({
        "image": { "repository": "localhost/biotope", "pullPolicy": "Never" },
        "logs": { "json": false },
        // No DNS runs on this node.
        "hostAliases": [{ "ip": NATS, "hostnames": ["biotope-nats.biotope.svc"] }],
        "responses": { "enabled": true },
        "nats": { "image": { "repository": "localhost/nats-server", "tag": "1" }, "replicas": 1, "clusterIP": NATS,
            "storage": { "persistent": false, "size": "20Gi" }, "resources": small },
        "registryScanner": { "advisories": { "configMap": "advisories" }, "storage": storage, "resources": small,
            "config": { "pull": { "plain_http_registries": [registry] } } },
        "admissionGateway": { "resources": small },
        "secretBroker": { "storage": storage, "resources": small, "config": { "check_interval_ms": 300 } },
        "runtimeSensor": { "criSocket": cluster.cri, "spoolPath": "", "resources": small },
        "correlator": { "console": { "expose": true }, "storage": storage, "resources": small },
    })
}

fn install(cluster: &Cluster, folder: &Path, registry: &str) -> Option<()> {
    let advisories = workspace_root().join("cli/assets/advisories").display().to_string();
    cluster.kubectl(&["create", "namespace", "biotope"]).unwrap();
    cluster.kubectl(&["-n", "biotope", "create", "configmap", "advisories", "--from-file", &advisories]).unwrap();
    let file = folder.join("values.json");
    fs::write(&file, values(cluster, registry).to_string()).unwrap();
    let mut command = helm(folder)?;
    command.args(["install", "biotope"]).arg(chart()).args(["--namespace", "biotope", "--wait", "--timeout", "240s"]);
    let output = command.arg("--values").arg(file).env("KUBECONFIG", &cluster.kubeconfig).output().unwrap();
    assert!(output.status.success(), "{}\n{}", said(&output), pods(cluster));
    Some(())
}

/// What a person looks at when a pod is not ready.
fn pods(cluster: &Cluster) -> String {
    let mut text = cluster.kubectl(&["-n", "biotope", "get", "pods,events", "-o", "wide"]).unwrap_or_default();
    for service in SERVICES {
        let label = format!("app.kubernetes.io/name={service}");
        let arguments = ["-n", "biotope", "logs", "--tail=15", "--prefix", "-l", &label];
        text += &cluster.kubectl(&arguments).unwrap_or_else(|error| error.to_string());
    }
    text
}

/// What a team has: a policy with an exception, a store, a secret, a Deployment. The container misbehaves after a while.
fn team(cluster: &Cluster, (web, vault, token): (&str, &str, &str)) {
    let assets = workspace_root().join("cli/assets");
    let policy = fs::read_to_string(assets.join("policies/run-as-non-root.yaml")).unwrap();
    // The exception names what a Deployment makes, too.
    let policy = policy
        .replace("[run-as-non-root]", "[run-as-non-root, autogen-run-as-non-root]")
        .replace("kinds: [Pod]\n          namespaces", "kinds: [Pod, Deployment, ReplicaSet]\n          namespaces");
    let secrets = fs::read_to_string(assets.join("secrets/db.yaml")).unwrap();
    let secrets = secrets.replace("@OPENBAO@", vault).replace("@TOKEN@", token);
    // The node's proxy may learn of the gateway a moment after it is ready, and nothing is let in until then.
    let made = wait_until(LIMIT, || cluster.kubectl(&["create", "namespace", "shop"]).ok());
    assert!(made.is_some(), "{}", pods(cluster));
    cluster.apply(&policy).unwrap();
    cluster.apply(&secrets).unwrap();
    let there = wait_until(LIMIT, || cluster.kubectl(&["-n", "shop", "get", "secret", "db"]).ok());
    assert!(there.is_some(), "{}", pods(cluster));
    // Policies are in force once a pod without an exception is refused.
    let refused = wait_until(LIMIT, || {
        let said = cluster.kubectl(&["run", "other", "--image", BUSYBOX_IMAGE, "--dry-run=server"]).err()?;
        said.to_string().contains("Containers must not run as root").then_some(())
    });
    assert!(refused.is_some(), "{}", pods(cluster));
    cluster.apply(&deployment("web", web).to_string()).unwrap();
}

fn deployment(name: &str, image: &str) -> Value {
    let script = "sleep 12; /bin/sh -c 'cat /etc/shadow > /dev/null; nc -w 1 192.0.2.1 443; true'; sleep 600";
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": "shop" },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "terminationGracePeriodSeconds": 1, "containers": [{
                    "name": "web", "image": image, "imagePullPolicy": "Always", "command": ["/bin/sh", "-c", script],
                    "env": [{ "name": "DB_PASSWORD", "valueFrom": { "secretKeyRef": { "name": "db", "key": "password" } } }],
                }] },
            },
        },
    })
}

/// The console's API, as a client with the token sees it.
fn incidents(cluster: &Cluster) -> Option<Vec<Value>> {
    let of = |arguments: &[&str]| cluster.kubectl(&[&["-n", "biotope"], arguments].concat()).ok();
    let address = of(&["get", "pod", "biotope-correlator-0", "-o", "jsonpath={.status.podIP}"])?;
    let token =
        of(&["get", "secret", "biotope-correlator-console", "-o", "go-template={{.data.token | base64decode}}"])?;
    let mut stream = TcpStream::connect((address.as_str(), 8080)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = "GET /api/incidents HTTP/1.1\r\nHost: console\r\nConnection: close\r\nAuthorization: Bearer";
    write!(stream, "{request} {token}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

#[test]
fn a_deployment_becomes_one_incident() {
    let (Some(registry), Some(bao)) = (parts::registry(), parts::openbao()) else { return };
    let folder = tempfile::tempdir().unwrap();
    if helm(folder.path()).is_none() {
        return;
    }
    let Some(cluster) = parts::cluster() else { return };
    let outside = cluster.host_address.clone();
    let at = |address: &str| {
        forward(&outside, port(address));
        format!("{outside}:{}", port(address))
    };
    let (registry, vault) = (at(&registry.address), at(&bao.address));
    let hosts = cluster.folder().join(format!("ctr/certs.d/{registry}"));
    fs::create_dir_all(&hosts).unwrap();
    fs::write(hosts.join("hosts.toml"), format!("server = \"http://{registry}\"\n[host.\"http://{registry}\"]\n"))
        .unwrap();
    let Some(()) = load_images(&cluster, folder.path()) else { return };
    let web = format!("{registry}/shop/web:1.0");
    push_web(&cluster, folder.path(), &web);
    bao.command(&["kv", "put", "secret/shop/db", "password=canary-one"]).unwrap();

    let Some(()) = install(&cluster, folder.path(), &registry) else { return };
    team(&cluster, (&web, &format!("http://{vault}"), &bao.token));
    let mut seen = Vec::new();
    let is_whole = |incident: &Value| incident["phases"].as_array().is_some_and(|phases| phases.len() == 4);
    let opened = wait_until(LIMIT, || {
        seen = incidents(&cluster)?;
        seen.iter().any(is_whole).then_some(())
    });
    assert!(opened.is_some(), "{seen:#?}\n{}", pods(&cluster));
    is_as_planted(&cluster, &seen, &web);
    the_loop_is_closed(&cluster, &web, &seen[0]);
    let stored = bao.command(&["kv", "get", "-field=password", "secret/shop/db"]).unwrap();
    assert!(!stored.contains("canary-one"), "the secret is rotated");
    nothing_stays_in_the_way(&cluster, folder.path());
}

fn is_as_planted(cluster: &Cluster, seen: &[Value], web: &str) {
    assert_eq!(seen.len(), 1, "one incident and no other: {seen:#?}");
    let (incident, identity) = (&seen[0], &seen[0]["identity"]);
    assert_eq!(incident["rule"], "exploited-exception");
    assert_eq!((identity["namespace"].as_str(), identity["image"].as_str()), (Some("shop"), Some(web)), "{identity}");
    assert!(identity["pod_name"].as_str().unwrap().starts_with("web-"), "{identity}");
    assert_eq!(identity["secrets"][0]["path"], "shop/db", "{identity}");
    assert_eq!(identity["secrets"][0]["version"], "1", "{identity}");
    let digest = identity["image_digest"].as_str().unwrap();
    let pulled = cluster.ctr(&["images", "ls"]).unwrap();
    assert!(pulled.contains(digest), "the node pulled {digest}:\n{pulled}");
    let told = incident["timeline"].to_string();
    for wanted in ["CVE-2021-33503", "shop/web-runs-as-root", "shop/db", "/etc/shadow"] {
        assert!(told.contains(wanted), "{wanted}: {incident:#?}");
    }
}

/// The image does not come in again, whatever exceptions say; the pod is cut off until its secret is new and it is gone.
fn the_loop_is_closed(cluster: &Cluster, web: &str, incident: &Value) {
    let id = incident["id"].as_str().unwrap();
    let mut said = String::new();
    let refused = wait_until(LIMIT, || {
        let file = deployment("web-again", web).to_string();
        said = cluster.apply(&file).err()?.to_string();
        said.contains(&format!("incident {id} is open (block-digest)")).then_some(())
    });
    assert!(refused.is_some(), "{said}\n{}", pods(cluster));
    let cut_off =
        wait_until(LIMIT, || cluster.kubectl(&["-n", "shop", "get", "networkpolicy", "biotope-quarantine"]).ok());
    assert!(cut_off.is_some(), "{}", pods(cluster));
    // It held the old version in a variable: it was evicted, and what would have replaced it was refused.
    let gone = wait_until(LIMIT, || {
        let pods = cluster.kubectl(&["-n", "shop", "get", "pods", "-l", "app=web", "-o", "name"]).ok()?;
        pods.trim().is_empty().then_some(())
    });
    assert!(
        gone.is_some(),
        "{}\n{}",
        cluster.kubectl(&["-n", "shop", "get", "pods"]).unwrap_or_default(),
        pods(cluster)
    );
}

/// After an uninstall the API server asks nobody who is not there any more.
fn nothing_stays_in_the_way(cluster: &Cluster, folder: &Path) {
    let mut command: Command = helm(folder).unwrap();
    command
        .args(["uninstall", "biotope", "--namespace", "biotope", "--wait", "--debug"])
        .env("KUBECONFIG", &cluster.kubeconfig);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations";
    let mut left = String::new();
    let gone = wait_until(LIMIT, || {
        left = cluster.kubectl(&["get", kinds, "-o", "name"]).ok()?;
        left.trim().is_empty().then_some(())
    });
    assert!(gone.is_some(), "{left}");
}
