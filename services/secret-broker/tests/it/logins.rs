//! Logins by what is shown when a connection is made, at a real OpenBao with TLS.

use testkit::parts::{self, free_port};

use crate::cluster_world::{World, encoded, external, store_at};
use crate::outages::{authority, certificate};
use crate::proxy::{Fault, Proxy};

const PASSWORD: &str = "{.data.password}";

/// Lines of a certificate or key, set in as the value of a key of a manifest.
fn block(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn pair(name: &str, (certificate, key): &(String, String)) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: {name} }}\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}---\n",
        block(certificate),
        block(key)
    )
}

#[test]
fn a_certificate_is_a_login_and_shown_to_who_asks_for_one() {
    let (port, strict) = (free_port().unwrap(), free_port().unwrap());
    let (servers, clients, far) = (authority(), authority(), (2090, 1, 1));
    let bao = parts::openbao_configured(|folder| {
        let (own, key) = certificate(&servers, far);
        for (name, text) in [("server.crt", own), ("server.key", key), ("clients.crt", clients.pem())] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let at = folder.display();
        let listener = |port: u16, more: &str| {
            format!(
                "listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_cert_file = \"{at}/server.crt\"\n  tls_key_file = \"{at}/server.key\"\n{more}}}\n"
            )
        };
        let demands =
            format!("  tls_require_and_verify_client_cert = true\n  tls_client_ca_file = \"{at}/clients.crt\"\n");
        listener(port, "") + &listener(strict, &demands)
    });
    let Some(bao) = bao else { return };
    let Some(world) = World::start_with(bao, "") else { return };
    let policy = world.folder.path().join("policy.hcl");
    std::fs::write(&policy, "path \"secret/*\" { capabilities = [\"read\", \"list\"] }\n").unwrap();
    let issuer = world.folder.path().join("clients.crt");
    std::fs::write(&issuer, clients.pem()).unwrap();
    world.bao.command(&["policy", "write", "reads", policy.to_str().unwrap()]).unwrap();
    world.bao.command(&["auth", "enable", "cert"]).unwrap();
    let trusted = format!("certificate=@{}", issuer.display());
    world.bao.command(&["write", "auth/cert/certs/app", &trusted, "token_policies=reads", "token_ttl=1h"]).unwrap();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();

    let authorities = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: servers }}\ndata:\n  ca.crt: |\n{}---\n",
        block(&servers.pem())
    );
    let mine = certificate(&clients, far);
    let stranger = certificate(&servers, far);
    world.server.apply(&(authorities + &pair("mine", &mine) + &pair("stranger", &stranger))).unwrap();
    let by = |name: &str, port: u16, settings: &str| {
        format!(
            "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{ name: {name} }}\nspec:\n  provider:\n    vault:\n      server: 'https://127.0.0.1:{port}'\n      path: secret\n      caProvider: {{ type: ConfigMap, name: servers, key: ca.crt }}\n      {settings}\n---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: by-{name} }}\nspec:\n  secretStoreRef: {{ name: {name} }}\n  data: [{{ secretKey: password, remoteRef: {{ key: db, property: password }} }}]\n"
        )
    };
    let login = |secret: &str| {
        format!(
            "auth: {{ cert: {{ vaultRole: app, clientCert: {{ name: {secret} }}, secretRef: {{ name: {secret} }} }} }}"
        )
    };
    let shown = |secret: &str| {
        format!(
            "tls: {{ certSecretRef: {{ name: {secret} }}, keySecretRef: {{ name: {secret} }} }}\n      auth: {{ tokenSecretRef: {{ name: bao-token }} }}"
        )
    };
    for text in [
        by("cert", port, &login("mine")),
        by("wrong", port, &login("stranger")),
        by("shown", strict, &shown("mine")),
        by("hidden", strict, "auth: { tokenSecretRef: { name: bao-token } }"),
    ] {
        world.server.apply(&text).unwrap();
    }
    for name in ["by-cert", "by-shown"] {
        world.until("secret", name, PASSWORD, &encoded("canary-one"));
    }
    world.until_failed("by-wrong", "the server refused the login");
    world.until("externalsecret", "by-hidden", "{.status.conditions[0].status}", "False");
    // A certificate that the server knows: mended where it was wrong or missing.
    world.server.apply(&pair("stranger", &mine)).unwrap();
    world.server.apply(&by("hidden", strict, &shown("mine"))).unwrap();
    for name in ["by-wrong", "by-hidden"] {
        world.until("secret", name, PASSWORD, &encoded("canary-one"));
    }
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}

/// Headers of the store stand on every request, and those by which standbys of a cluster of vaults keep up where they are asked for.
#[test]
fn every_request_bears_the_headers_of_its_store() {
    let Some(world) = World::start() else { return };
    let proxy = Proxy::http(&world.bao.address);
    proxy.set(Fault::Header("X-Vault-Index: canary-index"));
    let more = "      headers: { X-Team: shop }\n      readYourWrites: true\n      forwardInconsistent: true\n";
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    world.server.apply(&store_at(&proxy.address, more)).unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-one"));
    world.bao.command(&["kv", "put", "secret/db", "password=canary-two"]).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-two"));
    let heads = proxy.heads();
    assert!(heads.iter().all(|head| head.contains("x-team: shop")), "{heads:?}");
    let reads = |head: &&String| head.contains("/v1/secret/data/db");
    let last = heads.iter().rfind(reads).unwrap();
    assert!(last.contains("x-vault-index: canary-index"), "{last}");
    assert!(last.contains("x-vault-inconsistent: forward-active-node"), "{last}");
    assert!(!world.log().contains("canary-"), "a value stands in the log");
}

/// A standby names the active node, and is followed that far; who is sent on and on gives up, and the token goes no further.
#[test]
fn a_standby_is_followed_one_step() {
    let Some(world) = World::start() else { return };
    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    let (standby, between) = (Proxy::http(&world.bao.address), Proxy::http(&world.bao.address));
    standby.set(Fault::Redirect(world.bao.address.clone()));
    world.server.apply(&store_at(&standby.address, "")).unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-one"));
    assert!(between.heads().is_empty());
    between.set(Fault::Redirect(world.bao.address.clone()));
    standby.set(Fault::Redirect(between.address.clone()));
    world.until_failed("db", "the server sends its callers elsewhere (307)");
    assert!(!between.heads().is_empty());
    // The way is short again.
    between.set(Fault::None);
    world.bao.command(&["kv", "put", "secret/db", "password=canary-two"]).unwrap();
    world.until("secret", "db", PASSWORD, &encoded("canary-two"));
    world.until_ready("db");
}
