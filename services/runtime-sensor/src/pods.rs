//! What the platform knows of pods, from `deploy.pod.created`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bus::{Bus, From, Stored};
use model::{Identity, PodUid};
use schemas::EventType;
use schemas::deploy::v1::PodCreated;
use service::Context;

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) identity: Identity,
    pub(crate) image: Option<String>,
    pub(crate) container_name: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// All pods that were announced in the last hours. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods {
    by_uid: Arc<RwLock<HashMap<PodUid, Arc<Pod>>>>,
}

impl Pods {
    /// Follows the announcements for as long as the service lives.
    pub(crate) fn follow(context: &Context, bus: &Bus) -> Self {
        let pods = Self::default();
        let (reader, shutdown) = (pods.clone(), context.shutdown.clone());
        let filter = format!("biotope.v1.{}.{}.*.*", bus.origin().cluster, EventType::PodCreated.path());
        let mut cursor = bus.cursor("BIOTOPE_EVENTS", From::Beginning, vec![filter]);
        context.spawn_vital("pods", async move {
            while !shutdown.is_cancelled() {
                let batch = tokio::select! {
                    () = shutdown.cancelled() => break,
                    batch = cursor.next_batch(1_000, Duration::from_secs(1)) => batch,
                };
                batch.iter().for_each(|stored| reader.learn(stored));
            }
            Ok(())
        });
        pods
    }

    pub(crate) fn get(&self, uid: &PodUid) -> Option<Arc<Pod>> {
        self.by_uid.read().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    fn learn(&self, stored: &Stored) {
        let event = bus::decode_any(&stored.payload).map_err(|error| error.to_string());
        let event = event.and_then(|event| event.into_typed::<PodCreated>().map_err(|error| error.to_string()));
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(subject = stored.subject, error, "pod announcement cannot be read");
                return;
            }
        };
        let Some(uid) = event.identity.pod_uid.clone() else { return };
        // Which of several containers a cgroup is, its path does not tell: better no image than a wrong one.
        let container = match event.data.images.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let pod = Pod {
            image: container.map(|image| image.reference.clone()),
            container_name: container.map(|image| image.container.clone()),
            labels: event.data.labels.clone(),
            identity: event.identity,
        };
        let mut pods = self.by_uid.write().unwrap_or_else(PoisonError::into_inner);
        if pods.len() >= MAX_PODS {
            pods.clear();
        }
        pods.insert(uid, Arc::new(pod));
    }
}

/// More pods than a cluster has; a full table starts anew and is filled again by what comes.
const MAX_PODS: usize = 200_000;
