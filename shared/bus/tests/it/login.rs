//! Logins and TLS against a real nats-server: each way in works, and each refusal says what to change.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bus::{Auth, Bus, Class, Config, ConnectError, Tls};
use nkeys::{KeyPair, KeyPairType};
use serde_json::{Value, json};
use testkit::parts;

use crate::{event, origin};

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

async fn connect(url: String, auth: Auth, tls: Tls) -> Result<Bus, ConnectError> {
    let config = Config { servers: vec![url], auth, tls, connect_timeout_s: 2, ..Config::default() };
    tokio::time::timeout(Duration::from_secs(20), Bus::connect(&config, origin("tester"))).await.unwrap()
}

/// A connection counts when an event has gone through it into the stream.
async fn works(bus: &Bus) {
    bus.ensure_streams().await.unwrap();
    let publisher = bus.publisher().unwrap();
    publisher.publish(event(1, Class::Normal)).await.unwrap();
    assert!(publisher.flush(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn user_and_password() {
    let Some(nats) = parts::nats_configured(|folder| {
        write(folder, "good", "s3cret\n");
        write(folder, "bad", "wrong\n");
        "authorization { users: [ { user: correlator, password: s3cret } ] }".to_owned()
    }) else {
        return;
    };
    let auth = |file: &str| Auth {
        user: Some("correlator".to_owned()),
        password_file: Some(nats.folder().join(file)),
        ..Auth::default()
    };
    works(&connect(nats.url(), auth("good"), Tls::default()).await.unwrap()).await;
    for refused in [auth("bad"), Auth::default()] {
        let said = connect(nats.url(), refused, Tls::default()).await.unwrap_err().to_string();
        assert!(said.contains("refuses the login: check bus.auth"), "{said}");
    }
    let said = connect(nats.url(), auth("missing"), Tls::default()).await.unwrap_err().to_string();
    assert!(said.contains("missing`, which the bus section names"), "{said}");
}

#[tokio::test]
async fn nkey() {
    let user = KeyPair::new_user();
    let Some(nats) = parts::nats_configured(|folder| {
        write(folder, "seed", &(user.seed().unwrap() + "\n"));
        write(folder, "other", &KeyPair::new_user().seed().unwrap());
        write(folder, "nonsense", "not a seed");
        format!("authorization {{ users: [ {{ nkey: {} }} ] }}", user.public_key())
    }) else {
        return;
    };
    let auth = |file: &str| Auth { nkey_seed_file: Some(nats.folder().join(file)), ..Auth::default() };
    works(&connect(nats.url(), auth("seed"), Tls::default()).await.unwrap()).await;
    for wrong in ["other", "nonsense"] {
        let said = connect(nats.url(), auth(wrong), Tls::default()).await.unwrap_err().to_string();
        assert!(said.contains("bus.auth"), "{said}");
    }
}

/// A token as `nsc` makes it (NATS JWT version 2), signed by `issuer`.
fn token(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": name, "sub": subject.public_key(), "nats": nats,
    });
    let head = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let signed = format!("{}.{}", encode(&head), encode(&claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn credentials_file() {
    let [operator, system, account] =
        [KeyPairType::Operator, KeyPairType::Account, KeyPairType::Account].map(KeyPair::new);
    let (user, stranger) = (KeyPair::new_user(), KeyPair::new(KeyPairType::Account));
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let account_claims = json!({ "type": "account", "version": 2, "limits": limits });
    let mut system_claims = account_claims.clone();
    for key in ["mem_storage", "disk_storage", "streams", "consumer"] {
        system_claims["limits"][key] = json!(0);
    }
    let user_claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let credentials = |issuer: &KeyPair| {
        let jwt = token(issuer, &user, "platform", user_claims.clone());
        let seed = user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    };
    let Some(nats) = parts::nats_configured(|folder| {
        write(folder, "good.creds", &credentials(&account));
        write(folder, "bad.creds", &credentials(&stranger));
        let operator_claims = json!({ "type": "operator", "version": 2, "system_account": system.public_key() });
        format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}\n",
            token(&operator, &operator, "operator", operator_claims),
            system.public_key(),
            system.public_key(),
            token(&operator, &system, "system", system_claims),
            account.public_key(),
            token(&operator, &account, "platform", account_claims),
        )
    }) else {
        return;
    };
    let auth = |file: &str| Auth { credentials_file: Some(nats.folder().join(file)), ..Auth::default() };
    works(&connect(nats.url(), auth("good.creds"), Tls::default()).await.unwrap()).await;
    let said = connect(nats.url(), auth("bad.creds"), Tls::default()).await.unwrap_err().to_string();
    assert!(said.contains("refuses the login: check bus.auth"), "{said}");
}

/// An authority, a server certificate for loopback and a client certificate, all as PEM files.
fn certificates(folder: &Path) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    write(folder, "ca.crt", &authority.self_signed(&authority_key).unwrap().pem());
    let issuer = rcgen::Issuer::new(authority, authority_key);
    for (name, usage) in
        [("server", rcgen::ExtendedKeyUsagePurpose::ServerAuth), ("client", rcgen::ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        parameters.extended_key_usages = vec![usage];
        write(folder, &format!("{name}.crt"), &parameters.signed_by(&key, &issuer).unwrap().pem());
        write(folder, &format!("{name}.key"), &key.serialize_pem());
    }
}

#[tokio::test]
async fn tls_with_client_certificates() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let Some(nats) = parts::nats_configured(|folder| {
        certificates(folder);
        fs::create_dir(folder.join("other")).unwrap();
        certificates(&folder.join("other"));
        let path = |name: &str| folder.join(name).display().to_string();
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
            path("server.crt"),
            path("server.key"),
            path("ca.crt")
        )
    }) else {
        return;
    };
    let tls = |authority: &str, client: &str| Tls {
        required: true,
        ca_file: Some(nats.folder().join(authority).join("ca.crt")),
        cert_file: Some(nats.folder().join(client).join("client.crt")),
        key_file: Some(nats.folder().join(client).join("client.key")),
    };
    let url = format!("tls://127.0.0.1:{}", nats.port);
    works(&connect(url.clone(), Auth::default(), tls("", "")).await.unwrap()).await;
    for wrong in [tls("other", ""), tls("", "other"), Tls { required: true, ..Tls::default() }] {
        let error = connect(url.clone(), Auth::default(), wrong).await.unwrap_err();
        assert!(error.to_string().contains("bus.tls"), "{error}: {error:?}");
    }
}

#[tokio::test]
async fn tls_that_the_server_does_not_speak() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let Some(nats) = parts::nats() else { return };
    let tls = Tls { required: true, ..Tls::default() };
    let error = connect(nats.url(), Auth::default(), tls).await.unwrap_err();
    assert!(error.to_string().contains("bus.tls"), "{error}: {error:?}");
}
