//! Real pods on a real node: each alert says which pod, container and image it is about.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::parts::{self, BUSYBOX_IMAGE, Cluster, Process, wait_until};
use testkit::require;

use crate::{alerts, rule, sensor};

/// Everything that is to be known of a container.
const OUTPUT: &str = "%proc.cmdline %container.name %container.full_id %container.image %container.image.repository \
    %container.image.tag %container.image.digest %container.image.id %container.type %container.privileged \
    %container.mounts %container.mount.dest[0] %container.start_ts %container.ip %container.cni.json \
    %container.label[io.kubernetes.container.name] %k8s.pod.name %k8s.ns.name %k8s.pod.uid %k8s.pod.label[app] \
    %k8s.pod.sandbox_id %k8s.pod.ip %container.host_network";

fn pod(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": name } }, "spec": spec,
    })
}

fn container(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never", "command": ["/bin/busybox", "sh", "-c", script] })
}

/// A sensor that asks the cluster's runtime; `None`, loudly, where the kernel may not be watched.
fn watch(folder: &Path, cluster: &Cluster) -> Option<Process> {
    let rules = rule("read", "evt.type in (open, openat) and fd.name = /etc/hosts and container.id != host", OUTPUT)
        + &rule("ready", "evt.type in (open, openat) and fd.name contains marker-ready", "%fd.name");
    fs::write(folder.join("rules.yaml"), rules).unwrap();
    let config = json!({ "service": {
        "rules": [folder.join("rules.yaml")], "container_engines": { "cri": { "sockets": [cluster.cri] } },
        "alerts": { "json_output": true, "stdout_output": { "enabled": true } },
    }});
    fs::write(folder.join("config.yaml"), config.to_string()).unwrap();
    let mut command = sensor();
    command.args(["run", "--config"]).arg(folder.join("config.yaml"));
    let mut process = Process::start("runtime-sensor", &mut command, &folder.join("out")).unwrap();
    let marker = folder.join("marker-ready");
    fs::write(&marker, "").unwrap();
    let flows = wait_until(Duration::from_secs(30), || {
        if process.ended().is_some() {
            return Some(false);
        }
        let _ = Command::new("/bin/cat").arg(&marker).output();
        fs::read_to_string(folder.join("out")).ok().filter(|text| text.contains("marker-ready")).map(|_| true)
    });
    if flows == Some(true) {
        return Some(process);
    }
    require::skip("ebpf", &process.last_lines(3));
    None
}

/// The fields of the first alert about a pod that `is_it` wants.
fn seen(folder: &Path, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let found = wait_until(Duration::from_secs(60), || {
        let text = fs::read_to_string(folder.join("out")).ok()?;
        let of_pod =
            |fields: &Value| fields["k8s.pod.name"].as_str().is_some_and(|pod| pod.starts_with(name)) && is_it(fields);
        alerts(&text).into_iter().map(|alert| alert["output_fields"].clone()).find(of_pod)
    });
    let text = || fs::read_to_string(folder.join("out")).unwrap_or_default();
    found.unwrap_or_else(|| panic!("{name} is not told of: {}", text()))
}

#[test]
fn alerts_tell_pod_container_and_image() {
    let Some(cluster) = parts::cluster() else { return };
    let folder = tempfile::tempdir().unwrap();
    let read = "/bin/busybox cat /etc/hosts > /dev/null";
    let apply = |object: &Value| cluster.apply(&object.to_string()).unwrap();
    apply(&pod(
        "before",
        &json!({ "containers": [container("loop", &format!("while true; do {read}; sleep 1; done"))] }),
    ));
    let running = ["wait", "--for=condition=Ready", "--timeout=60s", "pod/before"];
    cluster.kubectl(&running).unwrap();
    let Some(_sensor) = watch(folder.path(), &cluster) else { return };

    // What ran before the sensor did.
    check(&cluster, &seen(folder.path(), "before", |_| true), "before", "loop");

    // A pod of a Deployment, and a process that was put into its container later.
    let template = json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [container("app", &format!("{read}; sleep 600"))] },
    });
    apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": template },
    }));
    let of_deployment = seen(folder.path(), "web-", |_| true);
    let name = of_deployment["k8s.pod.name"].as_str().unwrap().to_owned();
    check(&cluster, &of_deployment, &name, "app");
    assert_eq!(of_deployment["k8s.pod.label[app]"], "web");
    cluster.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", &format!("pod/{name}")]).unwrap();
    cluster.kubectl(&["exec", &name, "--", "/bin/busybox", "cat", "/etc/hosts", "/marker-exec"]).unwrap_err();
    let is_exec = |fields: &Value| fields["proc.cmdline"].as_str().unwrap_or_default().contains("marker-exec");
    check(&cluster, &seen(folder.path(), "web-", is_exec), &name, "app");

    // Pods that live for a second, and hardly at all; one with an init container; a privileged one on the host's network.
    let once = |containers: Value| json!({ "restartPolicy": "Never", "containers": [containers] });
    apply(&pod("second", &once(container("app", &format!("{read}; sleep 1")))));
    let mut brief = container("app", "");
    brief["command"] = json!(["/bin/busybox", "cat", "/etc/hosts"]);
    apply(&pod("brief", &once(brief)));
    let mut with_init = once(container("app", "sleep 600"));
    with_init["initContainers"] = json!([container("prepare", read)]);
    apply(&pod("init", &with_init));
    let mut strong = container("app", read);
    strong["securityContext"] = json!({ "privileged": true });
    let mut on_host = once(strong);
    on_host["hostNetwork"] = json!(true);
    apply(&pod("strong", &on_host));
    for (name, container) in [("second", "app"), ("brief", "app"), ("init", "prepare"), ("strong", "app")] {
        let fields = seen(folder.path(), name, |_| true);
        check(&cluster, &fields, name, container);
        let is_strong = name == "strong";
        assert_eq!(
            (&fields["container.privileged"], &fields["container.host_network"]),
            (&json!(is_strong), &json!(is_strong))
        );
    }
    packages_in_use_are_told(&cluster, of_deployment["container.image.digest"].as_str().unwrap());
    let text = fs::read_to_string(folder.path().join("out")).unwrap();
    let nameless: Vec<_> = alerts(&text)
        .into_iter()
        .filter(|alert| alert["rule"] == "read" && alert["output_fields"]["k8s.pod.name"].is_null())
        .collect();
    assert_eq!(nameless, Vec::<Value>::new(), "no alert is without its pod");
}

/// Compares the fields of an alert with what the cluster itself says.
fn check(cluster: &Cluster, fields: &Value, pod: &str, container: &str) {
    let told: Value = serde_json::from_str(&cluster.kubectl(&["get", "pod", pod, "-o", "json"]).unwrap()).unwrap();
    assert_eq!(fields["k8s.pod.uid"], told["metadata"]["uid"], "{fields}");
    assert_eq!((&fields["k8s.pod.name"], &fields["k8s.ns.name"]), (&json!(pod), &json!("default")));
    assert_eq!(fields["k8s.pod.label[app]"], told["metadata"]["labels"]["app"]);
    assert_eq!((&fields["container.name"], &fields["container.type"]), (&json!(container), &json!("containerd")));
    assert_eq!(fields["container.label[io.kubernetes.container.name]"], container);
    let statuses = ["containerStatuses", "initContainerStatuses"].map(|kind| told["status"][kind].as_array().cloned());
    let mut statuses = statuses.into_iter().flatten().flatten();
    let status = statuses.find(|status| status["name"] == container).unwrap();
    let id = fields["container.full_id"].as_str().unwrap();
    let has_id = |value: &Value| value.as_str().is_some_and(|told| told.ends_with(id));
    assert!(has_id(&status["containerID"]) || has_id(&status["state"]["terminated"]["containerID"]), "{id} {status}");
    let (repository, tag) = BUSYBOX_IMAGE.rsplit_once(':').unwrap();
    assert_eq!(
        (&fields["container.image.repository"], &fields["container.image.tag"]),
        (&json!(repository), &json!(tag))
    );
    assert_eq!(fields["container.image"], json!(BUSYBOX_IMAGE));
    let digest = fields["container.image.digest"].as_str().unwrap();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    assert_eq!(fields["container.image.id"].as_str().unwrap().len(), 64);
    assert!(fields["container.mounts"].as_str().unwrap().contains("/etc/hosts::true:private"), "{fields}");
    assert!(fields["container.start_ts"].as_i64().unwrap() > 1_700_000_000_000_000_000);
    if fields["container.host_network"] == false {
        assert!(fields["k8s.pod.ip"].as_str().unwrap().contains('.'), "{fields}");
        assert!(fields["container.cni.json"].as_str().unwrap().contains("eth0"), "{fields}");
    }
}

/// The platform's sensor, beside the other: a scan says that files of the image are packages with findings; their use is told. Nobody
/// takes a process of the pod that was there first for its beginning or its end.
fn packages_in_use_are_told(cluster: &Cluster, digest: &str) {
    let Some(nats) = parts::nats() else { return };
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bus = runtime.block_on(scanned(&nats.url(), digest));
    let rules =
        rule("read", "evt.type in (open, openat, execve) and fd.name = /etc/hosts and container.id != host", "x")
            + &rule("ran", "evt.type = execve and proc.name = nobody", "x");
    fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let config = json!({
        "bus": { "servers": [nats.url()] },
        "service": {
            "rules": [folder.path().join("rules.yaml")], "container_engines": { "cri": { "sockets": [cluster.cri] } },
        },
    });
    fs::write(folder.path().join("config.yaml"), config.to_string()).unwrap();
    let mut command = sensor();
    command.arg("--config").arg(folder.path().join("config.yaml"));
    let _sensor = Process::start("runtime-sensor", &mut command, &folder.path().join("out")).unwrap();
    // The pod that was there first goes on reading the file every second.
    let mut cursor = bus.cursor("BIOTOPE_EVENTS", bus::From::Beginning, vec!["biotope.v1.local.run.>".to_owned()]);
    let mut seen = Vec::new();
    let until = std::time::Instant::now() + Duration::from_secs(60);
    let mut matches = 0;
    while matches < 4 && std::time::Instant::now() < until {
        for stored in runtime.block_on(cursor.next_batch(10, Duration::from_secs(1))) {
            let event = bus::decode_any(&stored.payload).unwrap();
            if event.identity.pod_name.as_deref() != Some("before") {
                continue;
            }
            assert_eq!(event.identity.image_digest.as_ref().map(ToString::to_string).as_deref(), Some(digest));
            assert!(!stored.subject.contains(".container."), "{}", stored.subject);
            if stored.subject.contains(".run.rule.matched.") {
                matches += 1;
                continue;
            }
            let loaded = event.into_typed::<schemas::run::v1::PackageLoaded>().unwrap().data;
            seen.push((loaded.purl.name, loaded.path, loaded.by));
        }
    }
    seen.sort();
    let used = |name: &str, path: &str, by: &str| (name.to_owned(), path.to_owned(), by.to_owned());
    let said = || fs::read_to_string(folder.path().join("out")).unwrap_or_default();
    let expected = [used("box", "/bin/busybox", "exec"), used("hosts", "/etc/hosts", "open")];
    assert_eq!(seen, expected, "each once: {}", said());
}

/// A bus on which a scan has told of three packages in an image.
async fn scanned(url: &str, digest: &str) -> bus::Bus {
    let config = bus::Config { servers: vec![url.to_owned()], ..bus::Config::default() };
    let (cluster, service) = ("local".parse().unwrap(), "test".to_owned());
    let origin = bus::Origin { cluster, service, instance: "1".to_owned(), node: None };
    let bus = bus::Bus::connect(&config, origin).await.unwrap();
    bus.ensure_streams().await.unwrap();
    let finding = |name: &str, path: &str| {
        let purl = format!("pkg:golang/{name}@1");
        json!({ "id": "CVE-2020-1", "package": name, "installed_version": "1", "path": path, "purl": purl })
    };
    let findings = [finding("box", "bin/busybox"), finding("hosts", "etc/hosts"), finding("unused", "bin/unused")];
    let scan = json!({ "image": BUSYBOX_IMAGE, "digest": digest, "packages": 3, "findings": findings });
    let data: schemas::build::v1::ImageScanned = serde_json::from_value(scan).unwrap();
    let outgoing = bus::Outgoing {
        time: service::now(),
        key: schemas::Token::from(&data.digest),
        identity: model::Identity::default(),
        class: bus::Class::Normal,
        id: None,
        data,
    };
    let publisher = bus.publisher().unwrap();
    publisher.publish(outgoing).await.unwrap();
    assert!(publisher.flush(Duration::from_secs(10)).await);
    bus
}
