//! Vault and OpenBao: whether the settings of a store can be right.

use serde_json::Value;

use crate::provider::{ProviderError, at};

/// Checks `spec.provider.vault` of a store of `kind` in `namespace`, in the peer's words.
///
/// # Errors
/// Names the first thing that is wrong.
pub fn check(kind: &str, namespace: &str, vault: &Value) -> Result<(), ProviderError> {
    let scope = Scope { is_cluster: kind == "ClusterSecretStore", namespace };
    let auth = at(vault, "/auth");
    let role = at(auth, "/appRole");
    if role.is_object() {
        scope.check(at(role, "/secretRef"), "invalid Auth.AppRole.SecretRef")?;
        if at(role, "/roleId").as_str().unwrap_or_default().is_empty() {
            if at(role, "/roleRef").is_null() {
                return Err(ProviderError::failed("neither `roleId` nor `roleRef` was supplied"));
            }
            scope.check(at(role, "/roleRef"), "invalid Auth.AppRole.RoleRef")?;
        }
    }
    scope.check(at(auth, "/cert/clientCert"), "invalid Auth.Cert.ClientCert")?;
    scope.check(at(auth, "/cert/secretRef"), "invalid Auth.Cert.SecretRef")?;
    let jwt = at(auth, "/jwt");
    if jwt.is_object() {
        let account = at(jwt, "/kubernetesServiceAccountToken");
        if at(jwt, "/secretRef").is_object() {
            scope.check(at(jwt, "/secretRef"), "invalid Auth.Jwt.SecretRef")?;
        } else if account.is_object() {
            scope.check(
                at(account, "/serviceAccountRef"),
                "invalid Auth.Jwt.KubernetesServiceAccountToken.ServiceAccountRef",
            )?;
        } else {
            return Err(ProviderError::failed(
                "neither `secretRef` nor `kubernetesServiceAccountToken` was supplied as token source for jwt authentication",
            ));
        }
    }
    scope.check(at(auth, "/kubernetes/serviceAccountRef"), "invalid Auth.Kubernetes.ServiceAccountRef")?;
    scope.check(at(auth, "/kubernetes/secretRef"), "invalid Auth.Kubernetes.SecretRef")?;
    scope.check(at(auth, "/ldap/secretRef"), "invalid Auth.Ldap.SecretRef")?;
    scope.check(at(auth, "/userPass/secretRef"), "invalid Auth.UserPass.SecretRef")?;
    scope.check(at(auth, "/tokenSecretRef"), "invalid Auth.TokenSecretRef")?;
    let iam = at(auth, "/iam");
    scope.check(at(iam, "/jwt/serviceAccountRef"), "invalid Auth.TokenSecretRef")?;
    for name in ["accessKeyIDSecretRef", "secretAccessKeySecretRef", "sessionTokenSecretRef"] {
        scope.check(at(iam, &format!("/secretRef/{name}")), "invalid Auth.TokenSecretRef")?;
    }
    check_tls(&scope, vault)?;
    if at(vault, "/checkAndSet/required") == true && at(vault, "/version") == "v1" {
        return Err(ProviderError::failed("checkAndSet is not supported with Vault KV version v1"));
    }
    Ok(())
}

fn check_tls(scope: &Scope<'_>, vault: &Value) -> Result<(), ProviderError> {
    // The field's name in manifests is `tls`.
    let tls = if at(vault, "/tls").is_object() { at(vault, "/tls") } else { at(vault, "/clientTLS") };
    let (certificate, key) = (at(tls, "/certSecretRef"), at(tls, "/keySecretRef"));
    if certificate.is_null() != key.is_null() {
        return Err(ProviderError::failed(
            "when provided, both ClientTLS.ClientCert and ClientTLS.SecretRef should be provided",
        ));
    }
    scope.check(certificate, "invalid ClientTLS.ClientCert")?;
    scope.check(key, "invalid ClientTLS.SecretRef")
}

/// Checks the namespace of a reference from a store of `kind` in `namespace`. Where the reference may be left open for whoever uses the
/// store (`is_referent`), a store of the cluster need not name one.
///
/// # Errors
/// In the peer's words.
pub fn check_reference(kind: &str, namespace: &str, reference: &Value, is_referent: bool) -> Result<(), ProviderError> {
    let scope = Scope { is_cluster: kind == "ClusterSecretStore", namespace };
    if is_referent { scope.check(reference, "") } else { scope.check_named(reference) }
}

/// Who may name which namespace: a store of a namespace only its own, a store of the cluster any or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'n> {
    pub(crate) is_cluster: bool,
    pub(crate) namespace: &'n str,
}

impl Scope<'_> {
    /// Checks the namespace of a reference to a Secret or an account.
    pub(crate) fn check(&self, reference: &Value, words: &str) -> Result<(), ProviderError> {
        let said = if words.is_empty() { String::new() } else { format!("{words}: ") };
        match at(reference, "/namespace").as_str() {
            Some(namespace) if !self.is_cluster && namespace != self.namespace => Err(ProviderError::failed(format!(
                "{said}namespace should either be empty or match the namespace of the SecretStore for a namespaced SecretStore"
            ))),
            _ => Ok(()),
        }
    }

    /// As [`Self::check`]; a store of the cluster must name one.
    pub(crate) fn check_named(&self, reference: &Value) -> Result<(), ProviderError> {
        if self.is_cluster && at(reference, "/namespace").is_null() {
            return Err(ProviderError::failed("cluster scope requires namespace"));
        }
        self.check(reference, "")
    }
}
