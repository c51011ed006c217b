//! The test format: field names whatever their letter case, deprecated forms included.

use serde_json::Value;

use crate::outcome::Status;
use crate::request::Operation;

/// A test document.
#[derive(Clone, Debug, Default)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) policies: Vec<String>,
    pub(super) resources: Vec<String>,
    /// The resources as they were before an update.
    pub(super) old_resources: Vec<String>,
    pub(super) target_resources: Vec<String>,
    pub(super) cluster_resources: Vec<String>,
    pub(super) param_resources: Vec<String>,
    pub(super) exceptions: Vec<String>,
    pub(super) json_payloads: Vec<String>,
    pub(super) http_payloads: Vec<String>,
    pub(super) envoy_payloads: Vec<String>,
    pub(super) checks: Vec<Value>,
    pub(super) variables: String,
    pub(super) values: Option<Value>,
    pub(super) user_info: String,
    pub(super) context: String,
    pub(super) api_call_responses: Vec<Value>,
    pub(super) global_context_entries: Vec<Value>,
    pub(super) results: Vec<ResultRow>,
}

/// A row of `results`.
#[derive(Clone, Debug)]
pub(super) struct ResultRow {
    pub(super) policy: String,
    pub(super) rule: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) resources: Vec<String>,
    pub(super) patched: String,
    pub(super) generated: Vec<String>,
    pub(super) clone_source: String,
    pub(super) operation: String,
    pub(super) expected: Status,
    /// The files of expected objects must have every one.
    pub(super) all_in_file: bool,
    /// The row is about a policy without named rules.
    pub(super) whole_policy: bool,
}

impl Test {
    /// Reads a test document that has its shape.
    ///
    /// # Errors
    /// The pointer of a row that says nothing, and why.
    pub(super) fn parse(raw: &Value) -> Result<Self, (String, String)> {
        let list = |name: &str| texts(field(raw, name));
        let text = |name: &str| field(raw, name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let items = |name: &str| field(raw, name).and_then(Value::as_array).cloned().unwrap_or_default();
        let named = field(raw, "metadata").and_then(|metadata| field(metadata, "name")).or_else(|| field(raw, "name"));
        Ok(Self {
            name: named.and_then(Value::as_str).unwrap_or_default().to_owned(),
            policies: list("policies"),
            resources: list("resources"),
            old_resources: list("oldresources"),
            target_resources: list("targetresources"),
            cluster_resources: list("clusterresources"),
            param_resources: list("paramresources"),
            exceptions: list("exceptions"),
            json_payloads: [list("jsonpayloads"), list("jsonpayload")].concat(),
            http_payloads: list("httppayloads"),
            envoy_payloads: list("envoypayloads"),
            checks: items("checks"),
            variables: text("variables"),
            values: field(raw, "values").filter(|values| !values.is_null()).cloned(),
            user_info: text("userinfo"),
            context: text("context"),
            api_call_responses: items("apicallresponses"),
            global_context_entries: items("globalcontextentries"),
            results: items("results")
                .iter()
                .enumerate()
                .map(|(index, row)| ResultRow::parse(row).map_err(|what| (format!("/results/{index}"), what)))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ResultRow {
    fn parse(raw: &Value) -> Result<Self, String> {
        let text = |name: &str| field(raw, name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let flag = |name: &str| field(raw, name).and_then(Value::as_bool).unwrap_or(false);
        let word = Some(text("result")).filter(|word| !word.is_empty()).unwrap_or_else(|| text("status"));
        let mut resources = texts(field(raw, "resources"));
        resources.extend(Some(text("resource")).filter(|name| !name.is_empty()));
        for spec in field(raw, "resourcespecs").and_then(Value::as_array).into_iter().flatten() {
            let part = |name: &str| field(spec, name).and_then(Value::as_str).unwrap_or_default();
            let slash = if part("namespace").is_empty() { "" } else { "/" };
            resources.push(format!("{}{slash}{}", part("namespace"), part("name")));
        }
        let mut generated = texts(field(raw, "generatedresources"));
        generated.extend(Some(text("generatedresource")).filter(|file| !file.is_empty()));
        let patched = Some(text("patchedresources")).filter(|file| !file.is_empty());
        let operation =
            Some(text("operation")).filter(|word| !word.is_empty()).unwrap_or_else(|| text("resourceoperation"));
        if !operation.is_empty() && Operation::parse(&operation).is_none() {
            return Err(format!("`{operation}` is no operation: write CREATE, UPDATE, DELETE or CONNECT"));
        }
        let kinds = [
            "isvalidatingpolicy",
            "ismutatingpolicy",
            "isgeneratingpolicy",
            "isdeletingpolicy",
            "isimagevalidatingpolicy",
            "isvalidatingadmissionpolicy",
            "ismutatingadmissionpolicy",
        ];
        Ok(Self {
            policy: text("policy"),
            rule: text("rule"),
            kind: text("kind"),
            namespace: text("namespace"),
            resources,
            patched: patched.unwrap_or_else(|| text("patchedresource")),
            generated,
            clone_source: text("clonesourceresource"),
            operation,
            expected: status(&word)
                .ok_or_else(|| format!("`{word}` is not a result: write pass, fail, skip, warn or error"))?,
            all_in_file: flag("failonmissingresources"),
            whole_policy: kinds.iter().any(|name| flag(name)),
        })
    }
}

/// Reads the word of a result.
pub(super) fn status(word: &str) -> Option<Status> {
    [Status::Pass, Status::Fail, Status::Skip, Status::Warn, Status::Error]
        .into_iter()
        .find(|status| status.as_str() == word)
}

/// A field by its name in lower case.
pub(super) fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The texts of a list, or one text alone.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    }
}
