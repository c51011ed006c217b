//! What the gateway does itself, told from what others ask for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use admission_policy::Request;
use kubernetes::Cluster;
use serde_json::{Value, json};
use service::Context;

use super::register::MANAGER;

/// Who the gateway is to the API server. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own(Arc<OnceLock<String>>);

impl Own {
    /// Asks the server until it answers.
    pub(super) fn learn(context: &Context, cluster: &Cluster) -> Self {
        let own = Self::default();
        let (name, cluster, shutdown) = (Arc::clone(&own.0), cluster.clone(), context.shutdown.clone());
        context.spawn(async move {
            let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
            loop {
                match cluster.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await {
                    Ok(Some(answer)) => {
                        let known = answer.pointer("/status/userInfo/username").and_then(Value::as_str);
                        let _ = name.set(known.unwrap_or_default().to_owned());
                        return;
                    }
                    // Servers before 1.28 cannot say it.
                    Ok(None) => return,
                    Err(error) => tracing::debug!(error = error.chain(), "who the gateway is cannot be asked"),
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        });
        own
    }

    /// Whether a request is the gateway's: its account's, where that is a service account; a person's account may be used for
    /// other things as well, so the field manager has to be the gateway's too. The field manager alone tells nothing, for everybody
    /// may name it: nobody gets past a policy that way, even while it is not known who the gateway is.
    pub(crate) fn asks(&self, request: &Request) -> bool {
        let manager = request.options.as_ref().and_then(|options| options.get("fieldManager")).and_then(Value::as_str);
        let name = self.0.get().filter(|name| !name.is_empty() && **name == request.user.username);
        name.is_some_and(|name| name.starts_with("system:serviceaccount:") || manager == Some(MANAGER))
    }
}

/// Whether others than the gateway own fields of what an object says, apart from its metadata and parts such as `status`.
pub(super) fn has_foreign_fields(object: &Value) -> bool {
    let written = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    written
        .filter(|one| one.get("manager").and_then(Value::as_str) != Some(MANAGER))
        .filter(|one| one.get("subresource").and_then(Value::as_str).is_none_or(str::is_empty))
        .filter_map(|one| one.get("fieldsV1")?.as_object())
        .any(|fields| fields.keys().any(|key| !matches!(key.as_str(), "f:metadata" | "f:status")))
}

/// The object as it is stored, but saying what it is wanted to say and nothing else. Labels and annotations of others stay.
pub(super) fn without_foreign_fields(stored: &Value, wanted: &Value) -> Value {
    let mut bare = wanted.clone();
    let (Some(fields), Some(stored)) = (bare.as_object_mut(), stored.as_object()) else { return bare };
    for key in ["metadata", "status"] {
        if let Some(value) = stored.get(key) {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    bare
}

const AGAIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use admission_policy::UserInfo;

    use super::*;

    #[test]
    fn own_requests_are_told_by_service_account_or_by_account_and_manager() {
        let is_own = |name: &str, user: &str, manager: &str| {
            let own = Own::default();
            own.0.set(name.to_owned()).unwrap();
            let user = UserInfo { username: user.to_owned(), ..UserInfo::default() };
            own.asks(&Request { user, options: Some(json!({ "fieldManager": manager })), ..Request::default() })
        };
        let account = "system:serviceaccount:biotope:gateway";
        assert!(is_own(account, account, ""));
        assert!(is_own(account, account, MANAGER));
        assert!(is_own("admin", "admin", MANAGER));
        // Who names the gateway as manager is not the gateway for that.
        assert!(!is_own(account, "jane", MANAGER));
        assert!(!is_own("admin", "jane", MANAGER));
        assert!(!is_own("", "jane", MANAGER));
        assert!(!is_own("", "", MANAGER));
        assert!(!is_own(account, "jane", "kubectl"));
        assert!(!is_own("admin", "admin", ""));
        assert!(!is_own("", "", ""));
        assert!(!Own::default().asks(&Request { options: Some(json!([1])), ..Request::default() }));
        assert!(
            !Own::default().asks(&Request { options: Some(json!({ "fieldManager": MANAGER })), ..Request::default() })
        );
    }

    #[test]
    fn what_others_added_is_told_and_taken_away() {
        let with = |manager: &str, subresource: &str, fields: Value| {
            json!({ "metadata": { "name": "a", "resourceVersion": "7", "managedFields": [
                { "manager": MANAGER, "fieldsV1": { "f:spec": {} } },
                { "manager": manager, "subresource": subresource, "fieldsV1": fields },
            ] }, "spec": { "a": 1, "b": 2 }, "more": 3, "status": {} })
        };
        let added = with("kubectl", "", json!({ "f:spec": { "f:b": {} } }));
        assert!(has_foreign_fields(&added));
        for (manager, subresource, fields) in [
            (MANAGER, "", json!({ "f:spec": {} })),
            ("kubectl", "status", json!({ "f:spec": {} })),
            ("kubectl", "", json!({ "f:metadata": {}, "f:status": {} })),
            ("kubectl", "", json!("broken")),
        ] {
            assert!(!has_foreign_fields(&with(manager, subresource, fields)), "{manager} {subresource}");
        }
        assert!(!has_foreign_fields(&json!({ "metadata": { "managedFields": 7 } })));
        let wanted = json!({ "kind": "X", "metadata": { "name": "a" }, "spec": { "a": 1 } });
        let bare = without_foreign_fields(&added, &wanted);
        let expected = json!({ "kind": "X", "metadata": { "name": "a", "resourceVersion": "7" }, "spec": { "a": 1 }, "status": {} });
        assert_eq!(bare, expected);
    }
}
