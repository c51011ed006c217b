//! Global context entries: objects of a kind, or the answer to a call, kept up to date in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admission_policy::{HttpCall, Projection};
use go_time::GoDuration;
use kubernetes::{Cluster, Resource, Seen};
use serde_json::Value;
use service::Context;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gather::call;
use super::reach::Reach;
use super::{DISCOVER, served, services};
use crate::facts::Facts;

/// Follows the entries of the cluster.
pub(super) fn follow(context: &Context, (cluster, reach): (&Cluster, &Reach), facts: &Facts) {
    let (cluster, facts, shutdown) = (cluster.clone(), facts.clone(), context.shutdown.clone());
    let reach = reach.clone();
    context.spawn(async move {
        let Some(entries) = entries(&cluster, &shutdown).await else { return };
        let seen = cluster.follow(&entries);
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        let mut before = BTreeMap::new();
        while !shutdown.is_cancelled() {
            let objects = Arc::clone(&seen.borrow().objects);
            sources.retain(|name, source| {
                objects.get(name).is_some_and(|object| object.get("spec") == Some(&source.spec))
            });
            for (name, object) in objects.iter() {
                let spec = object.get("spec").cloned().unwrap_or_default();
                sources.entry(name.clone()).or_insert_with(|| Source::new(&cluster, spec));
            }
            let mut now = BTreeMap::new();
            for (name, source) in &mut sources {
                let Some(value) = source.value(&cluster, &reach).await else { continue };
                let name = name.trim_start_matches('/');
                now.extend(source.projected(name, &value));
                now.insert(name.to_owned(), value);
            }
            if now != before {
                facts.set_global_context(now.clone());
                before = now;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    });
}

/// The kind of the entries in the version that the server prefers; waits until it has one. `None` at the end.
async fn entries(cluster: &Cluster, shutdown: &CancellationToken) -> Option<Resource> {
    loop {
        match served(cluster, "kyverno.io", &["GlobalContextEntry"]).await {
            Ok(mut found) if !found.is_empty() => return found.pop(),
            Ok(_) => {}
            Err(error) => tracing::warn!(error = error.chain(), "the server's global context entries cannot be found"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(DISCOVER) => {}
        }
    }
}

/// Where an entry comes from.
struct Source {
    spec: Value,
    objects: Option<watch::Receiver<Seen>>,
    /// The parts that policies may ask for by name; an entry with a broken one is not known at all.
    projections: Result<Vec<(String, Projection)>, String>,
    /// What was projected last, and of what.
    projected: Option<(Value, Vec<(String, Value)>)>,
    answer: Option<Value>,
    asked: Option<Instant>,
}

impl Source {
    fn new(cluster: &Cluster, spec: Value) -> Self {
        let objects = spec.get("kubernetesResource").map(|wanted| {
            let text = |name: &str| wanted.get(name).and_then(Value::as_str).unwrap_or_default();
            cluster.follow(&Resource::new(text("group"), text("version"), "", text("resource")))
        });
        let projections = projections(&spec);
        if let Err(what) = &projections {
            tracing::warn!(what, "a global context entry has a broken projection and stays unknown");
        }
        Self { spec, objects, projections, projected: None, answer: None, asked: None }
    }

    /// The projections of what the entry holds, as `entry.projection`. One that fails is not known.
    fn projected(&mut self, entry: &str, value: &Value) -> Vec<(String, Value)> {
        if let Some((of, found)) = &self.projected
            && of == value
        {
            return found.clone();
        }
        let mut found = Vec::new();
        for (name, projection) in self.projections.iter().flatten() {
            match projection.of(value) {
                Ok(part) => found.push((format!("{entry}.{name}"), part)),
                Err(error) => tracing::warn!(entry, projection = name, error, "a projection fails and stays unknown"),
            }
        }
        self.projected = Some((value.clone(), found.clone()));
        found
    }

    async fn value(&mut self, cluster: &Cluster, reach: &Reach) -> Option<Value> {
        self.projections.as_ref().ok()?;
        if let Some(objects) = &self.objects {
            let seen = objects.borrow().clone();
            let namespace =
                self.spec.pointer("/kubernetesResource/namespace").and_then(Value::as_str).unwrap_or_default();
            let is_of = |name: &String| namespace.is_empty() || name.starts_with(&format!("{namespace}/"));
            let found = seen.objects.iter().filter(|(name, _)| is_of(name)).map(|(_, object)| Value::clone(object));
            return seen.is_complete.then(|| Value::Array(found.collect()));
        }
        let wanted = self.spec.get("apiCall")?;
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let every = go_duration(&text(wanted, "refreshInterval")).unwrap_or(REFRESH);
        if self.asked.is_none_or(|asked| asked.elapsed() >= every.max(Duration::from_secs(1))) {
            self.asked = Some(Instant::now());
            match ask(cluster, reach, wanted).await {
                Ok(answer) => self.answer = Some(answer),
                // What was known stays until the next answer.
                Err(error) => tracing::warn!(error, "a global context entry cannot be refreshed"),
            }
        }
        self.answer.clone()
    }
}

/// Makes the call of an entry.
async fn ask(cluster: &Cluster, reach: &Reach, wanted: &Value) -> Result<Value, String> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let method = Some(text(wanted, "method")).filter(|method| !method.is_empty()).unwrap_or_else(|| "GET".to_owned());
    let data = list(wanted, "data");
    let field = |item: &Value| (text(item, "key"), item.get("value").cloned().unwrap_or_default());
    let body = match method.as_str() {
        "POST" => Value::Object(data.iter().map(field).collect()).to_string(),
        _ => String::new(),
    };
    let Some(service) = wanted.get("service").filter(|service| service.is_object()) else {
        let path = text(wanted, "urlPath");
        return call(Some(cluster), &format!("{method} {path}"), &body)
            .await
            .map_err(|error| format!("{path}: {error}"));
    };
    let headers = list(service, "headers").iter().map(|header| (text(header, "key"), text(header, "value"))).collect();
    let asked = HttpCall { method, url: text(service, "url"), headers, body, authority: text(service, "caBundle") };
    let answer = services::call(&asked, reach).await.map_err(|error| format!("{}: {error}", asked.url))?;
    match answer.status {
        200..300 => Ok(answer.body),
        status => Err(format!("{}: HTTP {status}", asked.url)),
    }
}

/// The projections of an entry by name.
pub(super) fn projections(spec: &Value) -> Result<Vec<(String, Projection)>, String> {
    let all = spec.get("projections").and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let one = |raw: &Value| {
        let name = text(raw, "name");
        let projection = Projection::compile(&text(raw, "jmesPath")).map_err(|error| format!("{name}: {error}"))?;
        Ok((name, projection))
    };
    all.map(one).collect()
}

/// A duration as Go writes it: `1h30m`, `90s`. Anything else, and nothing, is none.
fn go_duration(text: &str) -> Option<Duration> {
    let nanos = GoDuration::parse(text).ok()?.as_nanos();
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

/// How often a call is made when the entry does not say.
const REFRESH: Duration = Duration::from_secs(600);
