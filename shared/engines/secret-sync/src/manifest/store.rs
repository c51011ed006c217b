//! Stores.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Fault;
use serde_json::Value;

use super::fields::{Fields, Source};
use super::{
    FakeValue, KvVersion, NamespaceRule, Provider, RoleId, SecretKeySelector, Store, StoreKind, StoreRef, VaultAuth,
    VaultStore,
};
use crate::value::SecretJson;

pub(super) fn read(
    source: &Source<'_>,
    id: StoreRef,
    mut value: Value,
    warnings: &mut Vec<Fault>,
) -> Result<Store, Fault> {
    let spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
    let mut spec = Fields::of(source, "spec", spec)?;
    spec.refuse(&["controller"], "remove it: this broker serves every store in its folder")?;
    // How often the store itself is validated, and how often calls are repeated: the broker has settings of its own for both.
    for ignored in ["retrySettings", "refreshInterval"] {
        spec.take(ignored);
    }
    let allowed = conditions(source, &mut spec)?;
    let Some(mut provider) = spec.object("provider")? else {
        return Err(spec.invalid("provider", "is missing").cure("name one provider, such as `vault`"));
    };
    let read = match (provider.object("vault")?, provider.object("openBao")?, provider.take("fake")) {
        (Some(fields), None, None) | (None, Some(fields), None) => {
            Provider::Vault(Box::new(vault(source, &id, fields, warnings)?))
        }
        (None, None, Some(fake)) => Provider::Fake(fake_values(source, fake)?),
        (None, None, None) => {
            provider.refuse(PROVIDERS, "use the provider `vault`, `openBao` or `fake`")?;
            return Err(spec.invalid("provider", "names no provider").cure("use `vault`, `openBao` or `fake`"));
        }
        _ => return Err(spec.invalid("provider", "names more than one provider").cure("keep one")),
    };
    provider.finish(warnings);
    spec.finish(warnings);
    Ok(Store { id, provider: read, allowed, place: source.place() })
}

fn conditions(source: &Source<'_>, spec: &mut Fields<'_>) -> Result<Vec<NamespaceRule>, Fault> {
    let mut rules = Vec::new();
    for condition in spec.list("conditions")? {
        let mut condition = Fields::of(source, "spec.conditions", condition)?;
        condition.refuse(&["namespaceSelector"], "name the namespaces under `namespaces` or `namespaceRegexes`")?;
        for name in condition.list("namespaces")? {
            rules.extend(name.as_str().map(|name| NamespaceRule::Name(name.to_owned())));
        }
        for pattern in condition.list("namespaceRegexes")? {
            let pattern = pattern.as_str().and_then(|pattern| regex::Regex::new(pattern).ok());
            let fault = || condition.invalid("namespaceRegexes", "holds no regular expression").cure("mend it");
            rules.push(NamespaceRule::Pattern(pattern.ok_or_else(fault)?));
        }
    }
    Ok(rules)
}

fn vault(
    source: &Source<'_>,
    id: &StoreRef,
    mut fields: Fields<'_>,
    warnings: &mut Vec<Fault>,
) -> Result<VaultStore, Fault> {
    let server = fields.required("server")?;
    if !server.starts_with("http://") && !server.starts_with("https://") {
        return Err(fields.invalid("server", "is no address").cure("write it as https://host:port"));
    }
    let versions = [("v2", KvVersion::V2), ("v1", KvVersion::V1)];
    let version = fields.choice("version", &versions)?.unwrap_or_default();
    let ca_bundle = fields.text("caBundle")?.filter(|text| !text.is_empty());
    let ca_bundle = ca_bundle.map(|text| {
        let fault = || fields.invalid("caBundle", "is not base64").cure("encode the PEM text in base64");
        STANDARD.decode(text.trim()).map_err(|_| fault())
    });
    let ca_bundle = ca_bundle.transpose()?;
    fields.refuse(&["caProvider"], "put the certificate itself under `caBundle`")?;
    fields.refuse(&["tls"], "use a login that needs no client certificate: `tokenSecretRef` or `appRole`")?;
    fields.refuse(&["headers"], "remove it")?;
    for (name, remedy) in [("readYourWrites", "remove it"), ("forwardInconsistent", "remove it")] {
        match fields.take(name) {
            None | Some(Value::Bool(false)) => {}
            Some(_) => return Err(source.unsupported(&fields.path(name), remedy)),
        }
    }
    fields.take("checkAndSet");
    let store = VaultStore {
        server: server.trim_end_matches('/').to_owned(),
        mount: fields.text("path")?.filter(|path| !path.is_empty()),
        version,
        namespace: fields.text("namespace")?.filter(|namespace| !namespace.is_empty()),
        ca_bundle,
        auth: auth(id, &mut fields, warnings)?,
    };
    fields.finish(warnings);
    Ok(store)
}

fn auth(id: &StoreRef, fields: &mut Fields<'_>, warnings: &mut Vec<Fault>) -> Result<VaultAuth, Fault> {
    let remedy = "use `tokenSecretRef` or `appRole`";
    let Some(mut auth) = fields.object("auth")? else {
        return Err(fields.invalid("auth", "is missing").cure(remedy));
    };
    auth.refuse(&["namespace"], "use the same namespace for login and secrets")?;
    let read = match (auth.object("tokenSecretRef")?, auth.object("appRole")?) {
        (Some(token), None) => VaultAuth::Token(selector(id, token, warnings)?),
        (None, Some(mut role)) => {
            let mount = role.text("path")?.filter(|path| !path.is_empty()).unwrap_or_else(|| "approle".to_owned());
            let literal = role.text("roleId")?.filter(|id| !id.is_empty());
            let role_id = match (literal, role.object("roleRef")?) {
                (Some(literal), _) => RoleId::Literal(literal),
                (None, Some(reference)) => RoleId::Secret(selector(id, reference, warnings)?),
                (None, None) => return Err(role.invalid("roleId", "is missing").cure("add `roleId` or `roleRef`")),
            };
            let Some(secret) = role.object("secretRef")? else {
                return Err(role.invalid("secretRef", "is missing").cure("name the Secret that holds the secret id"));
            };
            let secret = selector(id, secret, warnings)?;
            role.finish(warnings);
            VaultAuth::AppRole { mount, role: role_id, secret }
        }
        (Some(_), Some(_)) => return Err(fields.invalid("auth", "names more than one login").cure("keep one")),
        (None, None) => {
            auth.refuse(&["kubernetes", "jwt", "ldap", "userPass", "cert", "iam", "gcp"], remedy)?;
            return Err(fields.invalid("auth", "names no login").cure(remedy));
        }
    };
    auth.finish(warnings);
    Ok(read)
}

/// A store of a namespace may only name Secrets of that namespace; a cluster store must say which.
fn selector(id: &StoreRef, mut fields: Fields<'_>, warnings: &mut Vec<Fault>) -> Result<SecretKeySelector, Fault> {
    let given = fields.text("namespace")?.filter(|namespace| !namespace.is_empty());
    let namespace = match (id.kind, given) {
        (StoreKind::SecretStore, Some(given)) if given != id.namespace => {
            let what = "is another namespace than the store's";
            return Err(fields.invalid("namespace", what).cure("remove it, or use a ClusterSecretStore"));
        }
        (StoreKind::SecretStore, _) => id.namespace.clone(),
        (StoreKind::ClusterSecretStore, Some(given)) => given,
        (StoreKind::ClusterSecretStore, None) => {
            return Err(fields.invalid("namespace", "is missing").cure("a cluster store must name it"));
        }
    };
    let key = fields.text("key")?.filter(|key| !key.is_empty()).unwrap_or_else(|| "token".to_owned());
    let selector = SecretKeySelector { namespace, name: fields.required("name")?, key };
    fields.finish(warnings);
    Ok(selector)
}

fn fake_values(source: &Source<'_>, fake: Value) -> Result<BTreeMap<(String, String), FakeValue>, Fault> {
    let mut fields = Fields::of(source, "spec.provider.fake", fake)?;
    let mut values = BTreeMap::new();
    for item in fields.list("data")? {
        let mut item = Fields::of(source, "spec.provider.fake.data", item)?;
        item.refuse(&["valueMap"], "write the values as JSON text under `value`")?;
        let (key, version) = (item.required("key")?, item.text("version")?.unwrap_or_default());
        let text = item.text("value")?.unwrap_or_default();
        let content = SecretJson::parse(text.as_bytes()).filter(|json| json.expose().is_object());
        let content = content.unwrap_or_else(|| SecretJson::new(Value::String(text)));
        values.insert((key, version), FakeValue(content));
    }
    Ok(values)
}

/// Providers of External Secrets that this build does not have.
const PROVIDERS: &[&str] = &[
    "akeyless",
    "alibaba",
    "aws",
    "azurekv",
    "barbican",
    "beyondtrust",
    "bitwardensecretsmanager",
    "chef",
    "cloudrusm",
    "conjur",
    "delinea",
    "device42",
    "doppler",
    "dvls",
    "fortanix",
    "gcpsm",
    "github",
    "gitlab",
    "ibm",
    "infisical",
    "keepersecurity",
    "kubernetes",
    "ngrok",
    "onboardbase",
    "onepassword",
    "onepasswordSDK",
    "oracle",
    "ovh",
    "passbolt",
    "passworddepot",
    "previder",
    "pulumi",
    "scaleway",
    "secretserver",
    "senhasegura",
    "volcengine",
    "webhook",
    "yandexcertificatemanager",
    "yandexlockbox",
];
