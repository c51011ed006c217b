//! Azure Key Vault: what is wrong with the settings of a store. Its secrets are not fetched.

use serde_json::Value;

use crate::provider::vault_validate::check_reference;
use crate::provider::{ProviderError, at};

/// Checks `spec.provider.azurekv` of a store; absent settings are no store of this provider.
///
/// # Errors
/// Names the first thing that is wrong.
pub fn check(kind: &str, namespace: &str, settings: Option<&Value>) -> Result<(), ProviderError> {
    let Some(settings) = settings.filter(|settings| settings.is_object()) else {
        return Err(ProviderError::failed("invalid Azure Key Vault provider: `azurekv` is missing"));
    };
    let references = [
        ("/authSecretRef/clientId", "invalid AuthSecretRef.ClientID"),
        ("/authSecretRef/clientSecret", "invalid AuthSecretRef.ClientSecret"),
        ("/authSecretRef/tenantId", "invalid AuthSecretRef.TenantID"),
        ("/authSecretRef/clientCertificate", "invalid AuthSecretRef.ClientCertificate"),
        ("/serviceAccountRef", "invalid ServiceAccountRef"),
    ];
    for (pointer, words) in references {
        let reference = at(settings, pointer);
        if reference.is_object() {
            check_reference(kind, namespace, reference, true).map_err(|error| error.within(words))?;
        }
    }
    Ok(())
}
