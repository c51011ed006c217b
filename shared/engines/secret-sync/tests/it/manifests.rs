//! Manifests as people write them, and as they break them.

use secret_sync::{Documents, Provider, Resolved, VaultAuth, parse};

pub(crate) const STORE: &str = "\
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: { name: vault, namespace: shop }
spec:
  provider:
    vault:
      server: http://127.0.0.1:8200
      path: secret
      auth:
        tokenSecretRef: { name: vault-token, key: token }
";

pub(crate) fn external(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{ name: {name}, namespace: shop }}\nspec:\n  \
         secretStoreRef: {{ name: vault }}\n{rest}"
    )
}

pub(crate) fn load(files: &[(&str, String)]) -> Resolved {
    let mut documents = Documents::default();
    for (file, text) in files {
        parse(file, text, &mut documents);
    }
    documents.resolve()
}

fn faults(text: &str) -> Vec<String> {
    load(&[("store.yaml", STORE.to_owned()), ("a.yaml", text.to_owned())])
        .faults
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_plain_manifest_is_read() {
    let rest = "  refreshInterval: 1m\n  data:\n  - secretKey: password\n    remoteRef: { key: db, property: password }\n  dataFrom:\n  - \
                extract: { key: all }\n    rewrite: [{ regexp: { source: '^(.*)$', target: 'x_$1' } }]\n";
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: { name: vault-token, namespace: shop }\nstringData: { token: root }\n";
    let resolved = load(&[("s.yaml", format!("{STORE}{secret}")), ("a.yaml", external("db", rest))]);
    assert!(resolved.faults.is_empty(), "{:?}", resolved.faults);
    let external = &resolved.set.external_secrets["ExternalSecret shop/db"];
    assert_eq!((external.data.len(), external.extracts.len(), external.target.name.as_str()), (1, 1, "db"));
    let Provider::Vault(vault) = &resolved.set.stores.values().next().unwrap().provider else { panic!("no vault") };
    let VaultAuth::Token(selector) = &vault.auth else { panic!("no token") };
    assert_eq!(resolved.credentials.find(selector).unwrap().expose_str(), Some("root"));
}

#[test]
fn faults_name_place_and_cure() {
    let data = "  data:\n  - secretKey: a\n    remoteRef: { key: db }\n";
    let cases = [
        (
            external("a", data).replace("name: vault ", "name: valt "),
            "invalid: its store `SecretStore shop/valt` does not exist at a.yaml:1 (ExternalSecret shop/a): add the store's manifest, or correct `secretStoreRef`",
        ),
        (
            external("a", "  dataFrom:\n  - find: { path: x }\n"),
            "unsupported: `spec.dataFrom[0].find` at a.yaml:7 (ExternalSecret shop/a): name each secret with `extract`",
        ),
        (
            external(
                "a",
                &format!("  target:\n    template: {{ templateFrom: [{{ configMap: {{ name: x }} }}] }}\n{data}"),
            ),
            "unsupported: `spec.target.template.templateFrom.configMap` at a.yaml:7 (ExternalSecret shop/a): write the template itself under `literal`",
        ),
        (
            external("a", &format!("  refreshInterval: soon\n{data}")),
            "invalid: `spec.refreshInterval` is no duration at a.yaml:6 (ExternalSecret shop/a): write it as 30s, 5m or 1h",
        ),
        (
            external("a", ""),
            "invalid: either data or dataFrom should be specified at a.yaml:4 (ExternalSecret shop/a): say what to fetch under `spec.data` or `spec.dataFrom`",
        ),
        (
            "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: odd, namespace: shop }\nspec:\n  refreshInterval: -5\n  provider: { fake: { data: [] } }\n".to_owned(),
            "invalid: refreshInterval must not be negative at a.yaml:",
        ),
        ("kind: [\n".to_owned(), "invalid: not YAML at a.yaml:"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: { name: x }\n".to_owned(),
            "unsupported: `v1` `Pod` at a.yaml:2 (Pod default/x): use SecretStore",
        ),
        (
            external("a", &format!("  refreshIntervall: 1h\n{data}")),
            "warning: unknown field `spec.refreshIntervall` is ignored at a.yaml:6 (ExternalSecret shop/a)",
        ),
    ];
    for (text, expected) in cases {
        let said = faults(&text);
        assert!(said.len() == 1 && said[0].starts_with(expected), "{said:#?}\nexpected {expected}");
    }
}

#[test]
fn what_admission_refuses_is_set_aside() {
    let token = "  target:\n    template:\n      type: kubernetes.io/service-account-token\n      metadata: { annotations: { kubernetes.io/service-account.name: admin } }\n";
    let entry = "  dataFrom:\n  - extract: { key: db }\n";
    let resolved = load(&[("a.yaml", STORE.to_owned()), ("b.yaml", external("a", &format!("{token}{entry}")))]);
    assert!(resolved.set.external_secrets.is_empty());
    let said: String = resolved.faults.iter().map(ToString::to_string).collect();
    let wanted = "template.type=\"kubernetes.io/service-account-token\" with annotation \"kubernetes.io/service-account.name\" is not allowed";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn one_broken_document_leaves_the_others() {
    let good = external("good", "  data:\n  - secretKey: a\n    remoteRef: { key: db }\n");
    let resolved = load(&[("a.yaml", format!("{STORE}---\na: b: c\n---\n{good}"))]);
    assert_eq!(resolved.faults.len(), 1);
    assert_eq!(resolved.faults[0].line, 12);
    assert!(resolved.set.external_secrets.contains_key("ExternalSecret shop/good"));
}

#[test]
fn a_target_has_one_owner() {
    let data = "  target: { name: same }\n  data:\n  - secretKey: a\n    remoteRef: { key: db }\n";
    let resolved = load(&[
        ("s.yaml", STORE.to_owned()),
        ("a.yaml", format!("{}---\n{}", external("a", data), external("b", data))),
    ]);
    assert_eq!(resolved.set.external_secrets.len(), 1);
    assert!(resolved.faults[0].what.contains("belongs to ExternalSecret shop/a already"), "{:?}", resolved.faults);
}

#[test]
fn faults_never_quote_a_secret() {
    let broken = [
        "apiVersion: v1\nkind: Secret\nmetadata: { name: x }\ndata: { token: canary-1! }\n",
        "apiVersion: v1\nkind: Secret\nmetadata: { name: x }\nstringData: { token: canary-2: [ }\n",
    ];
    for text in broken {
        let said = faults(text);
        assert!(!said.is_empty() && !said.concat().contains("canary"), "{said:?}");
    }
}
