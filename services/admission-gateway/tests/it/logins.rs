//! Registries that let nobody in without a login: it comes from a docker configuration, or from Secrets that a policy, a pod or the
//! gateway's configuration names.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::{Value, json};
use testkit::parts;

use crate::signatures::{Key, Shelf, rule_by_key};
use crate::{Gateway, start_with, write};

/// User `robot` with the password `secret`.
const USERS: &str = "robot:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// Writes into a registry as its user.
pub(crate) fn shelf_of_robot(address: &str) -> Shelf {
    let mut headers = HeaderMap::new();
    let pair = format!("Basic {}", STANDARD.encode("robot:secret"));
    headers.insert(AUTHORIZATION, pair.parse().unwrap());
    let client = Client::builder().no_proxy().default_headers(headers).build().unwrap();
    Shelf { client, address: address.to_owned() }
}

fn auths(address: &str, password: &str) -> Value {
    json!({ address: { "username": "robot", "password": password } })
}

/// A rule for images with this tag, with what it says of credentials.
fn rule(tag: &str, address: &str, key: &Key, credentials: Value) -> String {
    let mut rule = rule_by_key(tag, &format!("{address}/app:{tag}"), key);
    if !credentials.is_null() {
        rule["spec"]["rules"][0]["verifyImages"][0]["imageRegistryCredentials"] = credentials;
    }
    rule.to_string()
}

pub(crate) fn pod(image: &str, secrets: &[&str]) -> Value {
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "containers": [{ "name": "web", "image": image }], "imagePullSecrets": secrets },
    })
}

/// Waits until a policy that refuses everything called so is in force: the others, which came before it, are then as well.
pub(crate) async fn loaded(gateway: &Gateway, folder: &std::path::Path) {
    let last = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: last}\nspec:\n  rules:\n  - name: last\n    match: {any: [{resources: {kinds: [ConfigMap]}}]}\n    validate: {failureAction: Enforce, message: nothing of this, deny: {}}\n";
    write(folder, "zz-last.yaml", last);
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop", "name": "m",
            "kind": { "group": "", "version": "v1", "kind": "ConfigMap" }, "userInfo": { "username": "jane" },
            "object": { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m", "namespace": "shop" } },
        },
    });
    for _ in 0..200 {
        let asked = gateway.client.post(format!("https://{}/validate", gateway.address)).json(&review);
        let answer: Value = asked.send().await.unwrap().json().await.unwrap();
        if answer["response"]["allowed"] == json!(false) {
            assert_eq!(gateway.faults().await, "[]");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the policies are not in force: {}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_of_a_docker_configuration_are_used_and_never_told() {
    service::install_crypto();
    let (Some(nats), Some(registry)) = (parts::nats(), parts::registry_for_users(USERS)) else { return };
    let (shelf, key) = (shelf_of_robot(&registry.address), Key::ecdsa());
    for tag in ["good", "late"] {
        let image = shelf.image(tag).await;
        shelf.sign(&image, &image, &key, None).await;
    }
    let docker = nats.folder().join("config.json");
    let write_login =
        |password: &str| std::fs::write(&docker, json!({ "auths": auths(&registry.address, password) }).to_string());
    write_login("hunter2").unwrap();
    let gateway = start_with(&nats, &json!({"insecure_registries": [registry.address], "docker_config": docker}));
    write(nats.folder(), "good.yaml", &rule("good", &registry.address, &key, Value::Null));
    let metadata = json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "layers"},
        "spec": {"rules": [{
            "name": "layers", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
            "context": [{"name": "data", "imageRegistry": {"reference": "{{ request.object.spec.containers[0].image }}"}}],
            "validate": {"failureAction": "Enforce", "message": "it has {{ data.manifest.layers | length(@) }} layer",
                "deny": {"conditions": {"all": [{"key": "{{ data.repository }}", "operator": "NotEquals", "value": "app"}]}}},
        }]},
    });
    write(nats.folder(), "layers.yaml", &metadata.to_string());
    loaded(&gateway, nats.folder()).await;

    let at = format!("{}/app:good", registry.address);
    let answer = gateway.review("validate", pod(&at, &[])).await["response"].clone();
    assert_eq!(answer["allowed"], json!(false), "{answer}");
    assert!(gateway.log().contains("401 Unauthorized to the login that there is for it"), "{}", gateway.log());
    assert!(!format!("{answer} {}", gateway.log()).contains("hunter2"));
    // The login is corrected, and looked at again.
    write_login("secret").unwrap();
    let answer = gateway.review("validate", pod(&at, &[])).await["response"].clone();
    assert_eq!(answer["allowed"], json!(true), "{answer} {}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_of_secrets_are_read_through_the_api_server() {
    service::install_crypto();
    let parts = (parts::nats(), parts::registry_for_users(USERS), parts::kube_apiserver());
    let (Some(nats), Some(registry), Some(server)) = parts else { return };
    let (shelf, key) = (shelf_of_robot(&registry.address), Key::ecdsa());
    for tag in ["named", "elsewhere", "pulled", "nobody", "cel"] {
        let image = shelf.image(tag).await;
        shelf.sign(&image, &image, &key, None).await;
    }
    let secret = |namespace: &str, name: &str, kind: &str, key: &str, text: Value| {
        let data = json!({ key: STANDARD.encode(text.to_string()) });
        json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, "namespace": namespace},
            "data": data})
        .to_string()
    };
    let login = auths(&registry.address, "secret");
    let (new, old) = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg");
    let manifests = [
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n".to_owned(),
        secret("default", "named", new, ".dockerconfigjson", json!({"auths": login})),
        secret("shop", "elsewhere", new, ".dockerconfigjson", json!({"auths": login})),
        secret("shop", "pulled", old, ".dockercfg", login.clone()),
    ];
    server.apply(&manifests.join("\n---\n")).unwrap();
    let gateway = start_with(
        &nats,
        &json!({
            "insecure_registries": [registry.address],
            "kubernetes": {"kubeconfig": server.kubeconfig, "pod_pull_secrets": true},
        }),
    );
    let address = &registry.address;
    write(nats.folder(), "named.yaml", &rule("named", address, &key, json!({"secrets": ["named"]})));
    write(nats.folder(), "elsewhere.yaml", &rule("elsewhere", address, &key, json!({"secrets": ["shop/elsewhere"]})));
    write(nats.folder(), "pulled.yaml", &rule("pulled", address, &key, Value::Null));
    write(
        nats.folder(),
        "nobody.yaml",
        &rule("nobody", address, &key, json!({"secrets": ["absent"], "providers": ["amazon"]})),
    );
    let cel = json!({
        "apiVersion": "policies.kyverno.io/v1alpha1", "kind": "ImageValidatingPolicy", "metadata": {"name": "cel"},
        "spec": {
            "validationActions": ["Deny"],
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
            "matchImageReferences": [{"glob": format!("{address}/app:cel")}],
            "credentials": {"secrets": ["named"]},
            "validationConfigurations": {"mutateDigest": false, "verifyDigest": false},
            "attestors": [{"name": "key", "cosign": {"key": {"data": key.pem()}, "ctlog": {"insecureIgnoreTlog": true}}}],
            "validations": [{"message": "not signed",
                "expression": "images.containers.all(i, verifyImageSignatures(i, [attestors.key]) > 0)"}],
        },
    });
    write(nats.folder(), "cel.yaml", &cel.to_string());
    loaded(&gateway, nats.folder()).await;
    for (tag, secrets, allowed) in [
        ("named", vec![], true),
        ("elsewhere", vec![], true),
        ("pulled", vec![], false),
        ("pulled", vec!["absent", "pulled"], true),
        ("nobody", vec![], false),
        ("cel", vec![], true),
    ] {
        let image = format!("{address}/app:{tag}");
        let answer = gateway.review("validate", pod(&image, &secrets)).await["response"].clone();
        assert_eq!(answer["allowed"], json!(allowed), "{tag} {secrets:?}: {answer}\n{}", gateway.log());
    }
    let log = gateway.log();
    assert!(log.contains("a pull secret cannot be read") && log.contains("no login is known for it"), "{log}");
    assert!(log.contains("the provider amazon is not asked: name a Secret"), "{log}");
}
