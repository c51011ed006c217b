//! External secrets.

use std::time::Duration;

use jmespath::go_regex;
use model::{Fault, FaultKind};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::fields::{Fields, Source};
use super::{
    CreationPolicy, DataItem, DeletionPolicy, ExternalSecret, Extract, RefreshPolicy, RemoteRef, StoreKind, StoreRef,
    TargetRef, template,
};
use crate::api::{ExternalSecretSpec, validate};
use crate::decode::DecodingStrategy;
use crate::keys::ConversionStrategy;
use crate::rewrite::{Merge, Rewrite};
use crate::schedule;
use crate::window::SyncWindows;

type Read<T> = Result<T, Fault>;

pub(super) fn read(
    source: &Source<'_>,
    (namespace, name): (String, String),
    mut value: Value,
    warnings: &mut Vec<Fault>,
) -> Read<ExternalSecret> {
    let spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
    // Labels and annotations go on the target, and who touches them wants it made again.
    let mut annotations = value.pointer("/metadata/annotations").cloned().unwrap_or_default();
    if let Some(fields) = annotations.as_object_mut() {
        fields.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    let labels = value.pointer("/metadata/labels").cloned().unwrap_or_default();
    let fingerprint = hex::encode(Sha256::digest(format!("{spec}{labels}{annotations}")));
    let refused = refused(&spec);
    let mut spec = Fields::of(source, "spec", spec)?;
    let windows = windows(&mut spec, warnings)?;
    let reader = Reader { source, namespace: &namespace };
    let store = reader.store(&mut spec, "secretStoreRef", warnings)?;
    let refresh = refresh(&mut spec)?;
    let target = target(&mut spec, &name, warnings)?;
    let mut data = Vec::new();
    for (index, item) in spec.list("data")?.into_iter().enumerate() {
        data.push(reader.data(format!("spec.data[{index}]"), item, (store.as_ref(), warnings))?);
    }
    let mut extracts = Vec::new();
    for (index, item) in spec.list("dataFrom")?.into_iter().enumerate() {
        extracts.push(reader.extract(format!("spec.dataFrom[{index}]"), item, (store.as_ref(), warnings))?);
    }
    if data.is_empty() && extracts.is_empty() {
        let what = "either data or dataFrom should be specified";
        return Err(source.invalid("spec", what).cure("say what to fetch under `spec.data` or `spec.dataFrom`"));
    }
    if let Some(item) = data.iter().enumerate().find_map(|(index, item)| {
        let before = data.get(..index)?;
        before.iter().any(|other| other.key == item.key).then_some(item)
    }) {
        let what = format!("duplicate secretKey found: {}", item.key);
        return Err(source.invalid("spec.data", what).cure("give every entry a key of its own"));
    }
    // What is wrong at a known place was said with it above.
    if let Some(what) = refused {
        return Err(source.invalid("spec", what).cure("mend it: admission of a cluster would refuse it too"));
    }
    spec.finish(warnings);
    let place = source.place();
    Ok(ExternalSecret { namespace, name, refresh, windows, data, extracts, target, fingerprint, place })
}

/// What admission would refuse.
fn refused(spec: &Value) -> Option<String> {
    let spec: ExternalSecretSpec = serde_json::from_value(spec.clone()).ok()?;
    let wrong = validate::external_secret(&spec);
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// Times of syncing; one that cannot be read is warned of, and is never active.
fn windows(spec: &mut Fields<'_>, warnings: &mut Vec<Fault>) -> Read<Option<SyncWindows>> {
    let Some(mut fields) = spec.object("syncWindows")? else { return Ok(None) };
    let kind = fields.text("kind")?.unwrap_or_default();
    let list = fields.list("windows")?;
    let text = |window: &Value, key: &str| window.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let pairs: Vec<(String, String)> =
        list.iter().map(|window| (text(window, "schedule"), text(window, "duration"))).collect();
    let (windows, bad) =
        SyncWindows::new(&kind, pairs.iter().map(|(schedule, duration)| (schedule.as_str(), duration.as_str())));
    for place in bad {
        let what =
            format!("has an entry ({place}) without a schedule and duration that can be read: it is never active");
        let mut fault =
            fields.invalid("windows", what).cure("write a schedule as cron does, and a duration such as 2h");
        fault.kind = FaultKind::Warning;
        warnings.push(fault);
    }
    fields.finish(warnings);
    Ok(Some(windows))
}

fn refresh(spec: &mut Fields<'_>) -> Read<RefreshPolicy> {
    let interval = spec.text("refreshInterval")?.unwrap_or_else(|| "1h".to_owned());
    let Some(interval) = schedule::parse_duration(&interval) else {
        return Err(spec.invalid("refreshInterval", "is no duration").cure("write it as 30s, 5m or 1h"));
    };
    let choices = [
        ("Periodic", RefreshPolicy::Periodic(interval)),
        ("CreatedOnce", RefreshPolicy::CreatedOnce),
        ("OnChange", RefreshPolicy::OnChange),
    ];
    let is_default = RefreshPolicy::Periodic(Duration::from_secs(3_600));
    Ok(spec.choice("refreshPolicy", &choices)?.unwrap_or(is_default))
}

fn target(spec: &mut Fields<'_>, default_name: &str, warnings: &mut Vec<Fault>) -> Read<TargetRef> {
    let mut target = TargetRef {
        name: default_name.to_owned(),
        creation: CreationPolicy::Owner,
        deletion: DeletionPolicy::Retain,
        immutable: false,
        secret_type: "Opaque".to_owned(),
        template: None,
    };
    let Some(mut fields) = spec.object("target")? else { return Ok(target) };
    fields.refuse(&["manifest"], "remove it: the target is a Secret")?;
    target.name = fields.text("name")?.filter(|name| !name.is_empty()).unwrap_or(target.name);
    let is_good = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '.');
    if target.name.len() > 253 || !target.name.chars().all(is_good) || target.name.starts_with(['.', '-']) {
        return Err(fields
            .invalid("name", "is no name of a Secret")
            .cure("use lower-case letters, digits, `-` and `.`"));
    }
    let creation = fields.text("creationPolicy")?.unwrap_or_default();
    let deletion = fields.text("deletionPolicy")?.unwrap_or_default();
    check_policies(&fields, &creation, &deletion)?;
    target.creation = if creation == "Orphan" { CreationPolicy::Orphan } else { CreationPolicy::Owner };
    target.deletion = match deletion.as_str() {
        "Delete" => DeletionPolicy::Delete,
        "Merge" => DeletionPolicy::Merge,
        _ => DeletionPolicy::Retain,
    };
    target.template = template::read(&mut fields, warnings)?;
    if let Some(secret_type) = target.template.as_mut().and_then(|template| template.secret_type.take()) {
        target.secret_type = secret_type;
    }
    target.immutable = fields.take("immutable") == Some(Value::Bool(true));
    fields.finish(warnings);
    Ok(target)
}

fn check_policies(fields: &Fields<'_>, creation: &str, deletion: &str) -> Read<()> {
    let owner = "Please set creationPolicy=Owner";
    match (creation, deletion) {
        ("Merge" | "None" | "CreateOrMerge", "Delete") => {
            let what = "is Delete although the controller does not own the secret";
            Err(fields.invalid("deletionPolicy", what).cure(owner))
        }
        ("None", "Merge") => {
            Err(fields.invalid("deletionPolicy", "is Merge, but there is no Secret to merge with").cure(owner))
        }
        ("Merge" | "None" | "CreateOrMerge", _) => {
            Err(fields.unsupported("creationPolicy", "use Owner or Orphan, with a target of its own"))
        }
        ("" | "Owner" | "Orphan", "" | "Retain" | "Delete" | "Merge") => Ok(()),
        ("" | "Owner" | "Orphan", _) => {
            Err(fields.invalid("deletionPolicy", "has an unknown value").cure("use Retain, Delete or Merge"))
        }
        _ => Err(fields.invalid("creationPolicy", "has an unknown value").cure("use Owner or Orphan")),
    }
}

struct Reader<'a> {
    source: &'a Source<'a>,
    namespace: &'a str,
}

impl Reader<'_> {
    fn store(&self, fields: &mut Fields<'_>, name: &str, warnings: &mut Vec<Fault>) -> Read<Option<StoreRef>> {
        let Some(mut reference) = fields.object(name)? else { return Ok(None) };
        let kinds = [("SecretStore", StoreKind::SecretStore), ("ClusterSecretStore", StoreKind::ClusterSecretStore)];
        let kind = reference.choice("kind", &kinds)?.unwrap_or_default();
        let namespace = if kind == StoreKind::SecretStore { self.namespace.to_owned() } else { String::new() };
        let name = reference.text("name")?.unwrap_or_default();
        reference.finish(warnings);
        Ok(Some(StoreRef { kind, namespace, name }).filter(|store| !store.name.is_empty()))
    }

    /// The store of one entry: its own, or that of the whole manifest.
    fn store_of(
        &self,
        fields: &mut Fields<'_>,
        (default, warnings): (Option<&StoreRef>, &mut Vec<Fault>),
    ) -> Read<StoreRef> {
        let own = match fields.object("sourceRef")? {
            Some(mut source_ref) => {
                source_ref.refuse(&["generatorRef", "storeRef.generatorRef"], "fetch from a store with `storeRef`")?;
                self.store(&mut source_ref, "storeRef", warnings)?
            }
            None => None,
        };
        own.or_else(|| default.cloned()).ok_or_else(|| {
            let remedy = "add `spec.secretStoreRef`";
            self.source.invalid("spec", "an entry has no store").cure(remedy)
        })
    }

    fn data(
        &self,
        path: String,
        item: Value,
        (default, warnings): (Option<&StoreRef>, &mut Vec<Fault>),
    ) -> Read<DataItem> {
        let mut fields = Fields::of(self.source, &path, item)?;
        let key = fields.required("secretKey")?;
        let Some(mut remote) = fields.object("remoteRef")? else {
            return Err(fields.invalid("remoteRef", "is missing").cure("say which key of the store to read"));
        };
        let store = self.store_of(&mut fields, (default, warnings))?;
        let item = DataItem { key, store, remote: self.remote(&mut remote)? };
        remote.finish(warnings);
        fields.finish(warnings);
        Ok(item)
    }

    fn extract(
        &self,
        path: String,
        item: Value,
        (default, warnings): (Option<&StoreRef>, &mut Vec<Fault>),
    ) -> Read<Extract> {
        let mut fields = Fields::of(self.source, &path, item)?;
        fields.refuse(&["find"], "name each secret with `extract`")?;
        let rewrites = self.rewrites(&mut fields)?;
        let store = self.store_of(&mut fields, (default, warnings))?;
        let Some(mut remote) = fields.object("extract")? else {
            return Err(fields.invalid("extract", "is missing").cure("say which key of the store to read"));
        };
        let extract = Extract { store, remote: self.remote(&mut remote)?, rewrites };
        remote.finish(warnings);
        fields.finish(warnings);
        Ok(extract)
    }

    fn rewrites(&self, fields: &mut Fields<'_>) -> Read<Vec<Rewrite>> {
        let path = fields.path("rewrite");
        let mut steps = Vec::new();
        for step in fields.list("rewrite")? {
            let mut step = Fields::of(self.source, &path, step)?;
            if let Some(merge) = step.object("merge")? {
                steps.push(Rewrite::Merge(merge_step(merge)?));
                continue;
            }
            if let Some(mut transform) = step.object("transform")? {
                steps.push(Rewrite::Transform { template: transform.text("template")?.unwrap_or_default() });
                continue;
            }
            let Some(mut regexp) = step.object("regexp")? else {
                return Err(step.invalid("regexp", "is missing").cure("use `regexp`, `transform` or `merge`"));
            };
            let source = regexp.text("source")?.unwrap_or_default();
            let fault = |_| regexp.invalid("source", "is no regular expression").cure("mend it");
            let source = go_regex::compile(&source).map_err(fault)?;
            steps.push(Rewrite::Regexp { source, target: regexp.text("target")?.unwrap_or_default() });
        }
        Ok(steps)
    }

    fn remote(&self, fields: &mut Fields<'_>) -> Read<RemoteRef> {
        match fields.take("metadataPolicy") {
            None => {}
            Some(Value::String(policy)) if policy == "None" || policy.is_empty() => {}
            Some(_) => return Err(fields.unsupported("metadataPolicy", "use None")),
        }
        match fields.take("nullBytePolicy") {
            None => {}
            Some(Value::String(policy)) if policy == "Ignore" || policy.is_empty() => {}
            Some(_) => return Err(fields.unsupported("nullBytePolicy", "use Ignore")),
        }
        let property = fields.text("property")?.filter(|property| !property.is_empty());
        let decoding = fields.text("decodingStrategy")?.unwrap_or_default();
        let conversion = fields.text("conversionStrategy")?.unwrap_or_default();
        Ok(RemoteRef {
            path: fields.required("key")?,
            property,
            version: fields.text("version")?.filter(|version| !version.is_empty()),
            decoding: DecodingStrategy::parse(&decoding).ok_or_else(|| {
                fields.invalid("decodingStrategy", "has an unknown value").cure("use None, Base64, Base64URL or Auto")
            })?,
            conversion: ConversionStrategy::parse(&conversion).ok_or_else(|| {
                fields.invalid("conversionStrategy", "has an unknown value").cure("use Default or Unicode")
            })?,
        })
    }
}

fn merge_step(mut merge: Fields<'_>) -> Read<Merge> {
    let is_json = merge.choice("strategy", &[("Extract", false), ("JSON", true)])?.unwrap_or(false);
    let into = merge.text("into")?.filter(|into| !into.is_empty());
    if is_json && into.is_none() {
        return Err(merge.invalid("into", "is missing").cure("say which key gets the merged object"));
    }
    let names = merge.list("priority")?;
    Ok(Merge {
        into: into.filter(|_| is_json),
        priority: names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        may_miss: merge.choice("priorityPolicy", &[("Strict", false), ("IgnoreNotFound", true)])?.unwrap_or(false),
        may_conflict: merge.choice("conflictPolicy", &[("Error", false), ("Ignore", true)])?.unwrap_or(false),
    })
}
