//! Global context entries: objects of a kind, or the answer to a call, kept up to date in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use go_time::GoDuration;
use kubernetes::{Cluster, Resource, Seen};
use serde_json::Value;
use service::Context;
use tokio::sync::watch;
use tokio::time::Instant;

use super::gather::call;
use crate::facts::Facts;

/// Follows the entries of the cluster.
pub(super) fn follow(context: &Context, cluster: &Cluster, facts: &Facts) {
    let (cluster, facts, shutdown) = (cluster.clone(), facts.clone(), context.shutdown.clone());
    context.spawn(async move {
        let seen =
            cluster.follow(&Resource::new("kyverno.io", "v2alpha1", "GlobalContextEntry", "globalcontextentries"));
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
                if let Some(value) = source.value(&cluster).await {
                    now.insert(name.trim_start_matches('/').to_owned(), value);
                }
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

/// Where an entry comes from.
struct Source {
    spec: Value,
    objects: Option<watch::Receiver<Seen>>,
    answer: Option<Value>,
    asked: Option<Instant>,
}

impl Source {
    fn new(cluster: &Cluster, spec: Value) -> Self {
        let objects = spec.get("kubernetesResource").map(|wanted| {
            let text = |name: &str| wanted.get(name).and_then(Value::as_str).unwrap_or_default();
            cluster.follow(&Resource::new(text("group"), text("version"), "", text("resource")))
        });
        Self { spec, objects, answer: None, asked: None }
    }

    async fn value(&mut self, cluster: &Cluster) -> Option<Value> {
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
            let method =
                Some(text(wanted, "method")).filter(|method| !method.is_empty()).unwrap_or_else(|| "GET".to_owned());
            let path = match wanted.get("service") {
                Some(service) => text(service, "url"),
                None => text(wanted, "urlPath"),
            };
            match call(Some(cluster), &format!("{method} {path}"), "").await {
                Ok(answer) => self.answer = Some(answer),
                // What was known stays until the next answer.
                Err(error) => tracing::warn!(path, error, "a global context entry cannot be refreshed"),
            }
        }
        self.answer.clone()
    }
}

/// A duration as Go writes it: `1h30m`, `90s`. Anything else, and nothing, is none.
fn go_duration(text: &str) -> Option<Duration> {
    let nanos = GoDuration::parse(text).ok()?.as_nanos();
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

/// How often a call is made when the entry does not say.
const REFRESH: Duration = Duration::from_secs(600);
