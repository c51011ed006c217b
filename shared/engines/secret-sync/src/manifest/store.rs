//! Stores.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jmespath::go_regex;
use model::{Fault, FaultKind};
use serde_json::Value;

use super::fields::{Fields, Source};
use super::{
    CaProvider, ClientCertificate, FakeValue, KvVersion, NamespaceRule, Provider, RoleId, SecretKeySelector, Store,
    StoreKind, StoreRef, TokenSource, VaultAuth, VaultStore,
};
use crate::api::{SecretStoreSpec, validate};
use crate::value::SecretJson;

pub(super) fn read(
    source: &Source<'_>,
    id: StoreRef,
    mut value: Value,
    warnings: &mut Vec<Fault>,
) -> Result<Store, Fault> {
    let spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
    let refused = refused(&id.name, &spec);
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
            Provider::Vault(Box::new(vault(&id, fields, warnings)?))
        }
        (None, None, Some(fake)) => Provider::Fake(fake_values(source, fake)?),
        (None, None, None) => {
            provider.refuse(PROVIDERS, "use the provider `vault`, `openBao` or `fake`")?;
            return Err(spec.invalid("provider", "names no provider").cure("use `vault`, `openBao` or `fake`"));
        }
        _ => return Err(spec.invalid("provider", "names more than one provider").cure("keep one")),
    };
    if let Some(what) = refused {
        return Err(source.invalid("spec", what).cure("mend it: admission of a cluster would refuse it too"));
    }
    provider.finish(warnings);
    spec.finish(warnings);
    Ok(Store { id, provider: read, allowed, place: source.place() })
}

/// What admission would refuse apart from the provider and the conditions, which are read below with their places.
fn refused(name: &str, spec: &Value) -> Option<String> {
    let interval = spec.get("refreshInterval").cloned()?;
    let provider = serde_json::Map::from_iter([("fake".to_owned(), Value::Null)]);
    let only =
        SecretStoreSpec { refresh_interval: Some(interval), provider: Some(provider), ..SecretStoreSpec::default() };
    let wrong = validate::secret_store(name, &only);
    (!wrong.is_empty()).then(|| wrong.join("; "))
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
            let pattern = pattern.as_str().and_then(|pattern| go_regex::compile(pattern).ok());
            let fault = || condition.invalid("namespaceRegexes", "holds no regular expression").cure("mend it");
            rules.push(NamespaceRule::Pattern(pattern.ok_or_else(fault)?));
        }
    }
    Ok(rules)
}

fn vault(id: &StoreRef, mut fields: Fields<'_>, warnings: &mut Vec<Fault>) -> Result<VaultStore, Fault> {
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
    let ca_provider = match fields.object("caProvider")? {
        Some(provider) if ca_bundle.is_none() => Some(ca_provider(id, provider, warnings)?),
        _ => None,
    };
    let tls = match fields.object("tls")? {
        Some(tls) => Some(certificate(id, tls, ("certSecretRef", "keySecretRef"), warnings)?),
        None => None,
    };
    let headers = fields.take("headers");
    let headers = headers.iter().filter_map(Value::as_object).flatten();
    let headers = headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    let mut is_set = |name: &str| fields.take(name) == Some(Value::Bool(true));
    let (reads_own_writes, forwards) = (is_set("readYourWrites"), is_set("forwardInconsistent"));
    fields.take("checkAndSet");
    let store = VaultStore {
        server: server.trim_end_matches('/').to_owned(),
        mount: fields.text("path")?.filter(|path| !path.is_empty()),
        version,
        namespace: fields.text("namespace")?.filter(|namespace| !namespace.is_empty()),
        login_namespace: None,
        ca_bundle,
        ca_provider,
        headers,
        reads_own_writes,
        forwards,
        tls,
        auth: VaultAuth::Token(SecretKeySelector { namespace: String::new(), name: String::new(), key: String::new() }),
    };
    let (login_namespace, auth) = auth(id, &mut fields, warnings)?;
    let store = VaultStore { login_namespace, auth, ..store };
    fields.finish(warnings);
    Ok(store)
}

/// Where certificates stand: a key of a Secret or a ConfigMap.
fn ca_provider(id: &StoreRef, mut fields: Fields<'_>, warnings: &mut Vec<Fault>) -> Result<CaProvider, Fault> {
    let kinds = [("Secret", false), ("ConfigMap", true)];
    let is_config_map = fields.choice("type", &kinds)?.unwrap_or(false);
    Ok(CaProvider { at: selector(id, fields, "ca.crt", warnings)?, is_config_map })
}

/// The namespace of the login, and how it is done.
fn auth(
    id: &StoreRef,
    fields: &mut Fields<'_>,
    warnings: &mut Vec<Fault>,
) -> Result<(Option<String>, VaultAuth), Fault> {
    let remedy = "use `kubernetes`, `jwt`, `appRole`, `userPass`, `ldap`, `cert` or `tokenSecretRef`";
    let Some(mut auth) = fields.object("auth")? else {
        return Err(fields.invalid("auth", "is missing").cure(remedy));
    };
    let namespace = auth.text("namespace")?.filter(|namespace| !namespace.is_empty());
    let mut logins = Vec::new();
    if let Some(token) = auth.object("tokenSecretRef")? {
        logins.push(VaultAuth::Token(selector(id, token, "token", warnings)?));
    }
    if let Some(role) = auth.object("appRole")? {
        logins.push(app_role(id, role, warnings)?);
    }
    if let Some(kubernetes) = auth.object("kubernetes")? {
        logins.push(kubernetes_login(id, kubernetes, warnings)?);
    }
    if let Some(jwt) = auth.object("jwt")? {
        logins.push(jwt_login(id, jwt, warnings)?);
    }
    for method in ["userPass", "ldap"] {
        if let Some(fields) = auth.object(method)? {
            logins.push(password_login(id, fields, &method.to_lowercase(), warnings)?);
        }
    }
    if let Some(mut cert) = auth.object("cert")? {
        let mount = mount(&mut cert, "path", "cert")?;
        let role = cert.text("vaultRole")?.unwrap_or_default();
        let identity = certificate(id, cert, ("clientCert", "secretRef"), warnings)?;
        logins.push(VaultAuth::Certificate { mount, role, identity });
    }
    // OpenBao does not ship these methods; a login that no server here could judge is not pretended.
    let cloud = format!("a login by Amazon's or Google's identity is not built: {remedy}");
    auth.refuse(&["iam", "gcp"], &cloud)?;
    auth.finish(warnings);
    let mut logins = logins.into_iter();
    match (logins.next(), logins.next()) {
        (Some(login), None) => Ok((namespace, login)),
        (Some(_), Some(_)) => Err(fields.invalid("auth", "names more than one login").cure("keep one")),
        (None, _) => Err(fields.invalid("auth", "names no login").cure(remedy)),
    }
}

fn mount(fields: &mut Fields<'_>, name: &str, default: &str) -> Result<String, Fault> {
    let given = fields.text(name)?.map(|path| path.trim_matches('/').to_owned());
    Ok(given.filter(|path| !path.is_empty()).unwrap_or_else(|| default.to_owned()))
}

fn app_role(id: &StoreRef, mut role: Fields<'_>, warnings: &mut Vec<Fault>) -> Result<VaultAuth, Fault> {
    let mount = mount(&mut role, "path", "approle")?;
    let literal = role.text("roleId")?.filter(|id| !id.is_empty());
    let role_id = match (literal, role.object("roleRef")?) {
        (Some(literal), _) => RoleId::Literal(literal),
        (None, Some(reference)) => RoleId::Secret(selector(id, reference, "token", warnings)?),
        (None, None) => return Err(role.invalid("roleId", "is missing").cure("add `roleId` or `roleRef`")),
    };
    let Some(secret) = role.object("secretRef")? else {
        return Err(role.invalid("secretRef", "is missing").cure("name the Secret that holds the secret id"));
    };
    let secret = selector(id, secret, "token", warnings)?;
    role.finish(warnings);
    Ok(VaultAuth::AppRole { mount, role: role_id, secret })
}

fn kubernetes_login(id: &StoreRef, mut fields: Fields<'_>, warnings: &mut Vec<Fault>) -> Result<VaultAuth, Fault> {
    let mount = mount(&mut fields, "mountPath", "kubernetes")?;
    let role = fields.required("role")?;
    let token = match (fields.object("serviceAccountRef")?, fields.object("secretRef")?) {
        (Some(account), _) => service_account(id, account, (Vec::new(), TOKEN_LIFE_S), warnings)?,
        (None, Some(secret)) => TokenSource::Secret(selector(id, secret, "token", warnings)?),
        (None, None) => TokenSource::OwnPod,
    };
    fields.finish(warnings);
    Ok(VaultAuth::Signed { mount, role, token })
}

fn jwt_login(id: &StoreRef, mut fields: Fields<'_>, warnings: &mut Vec<Fault>) -> Result<VaultAuth, Fault> {
    let mount = mount(&mut fields, "path", "jwt")?;
    let role = fields.text("role")?.unwrap_or_default();
    let token = match (fields.object("secretRef")?, fields.object("kubernetesServiceAccountToken")?) {
        (Some(secret), _) => TokenSource::Secret(selector(id, secret, "jwt", warnings)?),
        (None, Some(mut token)) => {
            let audiences = texts(&mut token, "audiences")?;
            let audiences = if audiences.is_empty() { vec!["vault".to_owned()] } else { audiences };
            let life_s = token.take("expirationSeconds").and_then(|life| life.as_u64()).unwrap_or(TOKEN_LIFE_S);
            let Some(account) = token.object("serviceAccountRef")? else {
                return Err(token.invalid("serviceAccountRef", "is missing").cure("name the account"));
            };
            let source = service_account(id, account, (audiences, life_s), warnings)?;
            token.finish(warnings);
            source
        }
        (None, None) => {
            let remedy = "add `secretRef` or `kubernetesServiceAccountToken`";
            return Err(fields.invalid("secretRef", "is missing, and so is an account").cure(remedy));
        }
    };
    fields.finish(warnings);
    Ok(VaultAuth::Signed { mount, role, token })
}

fn password_login(
    id: &StoreRef,
    mut fields: Fields<'_>,
    method: &str,
    warnings: &mut Vec<Fault>,
) -> Result<VaultAuth, Fault> {
    let mount = mount(&mut fields, "path", method)?;
    let username = fields.required("username")?;
    let Some(secret) = fields.object("secretRef")? else {
        return Err(fields.invalid("secretRef", "is missing").cure("name the Secret that holds the password"));
    };
    let password = selector(id, secret, "password", warnings)?;
    fields.finish(warnings);
    Ok(VaultAuth::Password { mount, username, password })
}

fn certificate(
    id: &StoreRef,
    mut fields: Fields<'_>,
    (certificate, key): (&str, &str),
    warnings: &mut Vec<Fault>,
) -> Result<ClientCertificate, Fault> {
    let (Some(first), Some(second)) = (fields.object(certificate)?, fields.object(key)?) else {
        return Err(fields
            .invalid(key, "is missing, or its other half")
            .cure("name both: the certificate and its key"));
    };
    let certificate = selector(id, first, "tls.crt", warnings)?;
    let key = selector(id, second, "tls.key", warnings)?;
    fields.finish(warnings);
    Ok(ClientCertificate { certificate, key })
}

fn service_account(
    id: &StoreRef,
    mut fields: Fields<'_>,
    (mut audiences, life_s): (Vec<String>, u64),
    warnings: &mut Vec<Fault>,
) -> Result<TokenSource, Fault> {
    let namespace = namespace(id, &mut fields)?;
    let name = fields.required("name")?;
    audiences.extend(texts(&mut fields, "audiences")?);
    fields.finish(warnings);
    Ok(TokenSource::ServiceAccount { namespace, name, audiences, life_s })
}

fn texts(fields: &mut Fields<'_>, name: &str) -> Result<Vec<String>, Fault> {
    Ok(fields.list(name)?.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
}

/// A store of a namespace may only name Secrets and accounts of that namespace; a cluster store must say which.
fn namespace(id: &StoreRef, fields: &mut Fields<'_>) -> Result<String, Fault> {
    let given = fields.text("namespace")?.filter(|namespace| !namespace.is_empty());
    match (id.kind, given) {
        (StoreKind::SecretStore, Some(given)) if given != id.namespace => {
            let what = "is another namespace than the store's";
            Err(fields.invalid("namespace", what).cure("remove it, or use a ClusterSecretStore"))
        }
        (StoreKind::SecretStore, _) => Ok(id.namespace.clone()),
        (StoreKind::ClusterSecretStore, Some(given)) => Ok(given),
        (StoreKind::ClusterSecretStore, None) => {
            // Upstream takes that of whoever uses the store: so does the reconciler, not the machine.
            let mut fault = fields.invalid("namespace", "is missing").cure("a cluster store must name it");
            fault.kind = FaultKind::Unsupported;
            Err(fault)
        }
    }
}

fn selector(
    id: &StoreRef,
    mut fields: Fields<'_>,
    default_key: &str,
    warnings: &mut Vec<Fault>,
) -> Result<SecretKeySelector, Fault> {
    let namespace = namespace(id, &mut fields)?;
    let key = fields.text("key")?.filter(|key| !key.is_empty()).unwrap_or_else(|| default_key.to_owned());
    let selector = SecretKeySelector { namespace, name: fields.required("name")?, key };
    fields.finish(warnings);
    Ok(selector)
}

/// How long a token of an account is good for, when the store does not say.
const TOKEN_LIFE_S: u64 = 600;

fn fake_values(source: &Source<'_>, fake: Value) -> Result<BTreeMap<(String, String), FakeValue>, Fault> {
    let mut fields = Fields::of(source, "spec.provider.fake", fake)?;
    let mut values = BTreeMap::new();
    for item in fields.list("data")? {
        let mut item = Fields::of(source, "spec.provider.fake.data", item)?;
        item.refuse(&["valueMap"], "write the values as JSON text under `value`")?;
        let (key, version) = (item.required("key")?, item.text("version")?.unwrap_or_default());
        let text = item.text("value")?.unwrap_or_default();
        values.insert((key, version), FakeValue(SecretJson::new(Value::String(text))));
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
