//! The folder of manifests.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use kubernetes::manifests::{self, Listing, objects};
use model::{Fault, FaultKind};
use secret_sync::{Documents, ExternalSecret, Literal, Resolved, SecretJson, SecretPart, parse};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::reconciler::{Inventory, Work, place_of, route};

/// Who hears of changes, and where the objects are put.
type Listener = (watch::Sender<Arc<Work>>, Arc<RwLock<Inventory>>);

/// What the folder held when it was last read.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    before: Option<Listing>,
    /// Who is told what the machine does not serve, and finds the other objects there.
    to: Option<Listener>,
}

/// Labels and annotations that a template makes have no place in a folder: that is said.
fn without_marks(external: &ExternalSecret) -> Option<Fault> {
    let template = external.target.template.as_ref()?;
    let is_marked = |literal: &Literal| literal.part != SecretPart::Data;
    let has_marks = !template.labels.is_empty() || !template.annotations.is_empty();
    (has_marks || template.literals.iter().any(is_marked)).then(|| {
        let what = "labels and annotations of `spec.target.template` are not written into a folder";
        let fault = Fault::new(FaultKind::Warning, &external.place.file, what).at(external.place.line, 0);
        fault.about(external.subject()).cure("they matter where targets are objects of Kubernetes")
    })
}

impl Manifests {
    /// Tells what the machine does not serve to `to` from now on.
    pub(crate) fn tell(&mut self, to: watch::Sender<Arc<Work>>, inventory: Arc<RwLock<Inventory>>) {
        self.to = Some((to, inventory));
    }

    fn hand_over(&self, resolved: &mut Resolved, all: &[Arc<SecretJson>]) {
        let Some((to, inventory)) = &self.to else { return };
        let objects = all.iter().map(|object| (place_of(object.expose()), object.clone()));
        *inventory.write().unwrap_or_else(PoisonError::into_inner) = objects.collect();
        to.send_replace(Arc::new(route(resolved, all.iter())));
    }

    /// Reads the folder if it changed. A folder that cannot be listed changes nothing.
    pub(crate) fn changed(&mut self, folder: &Path) -> Option<Resolved> {
        let listing = match manifests::list(folder) {
            Ok(listing) => listing,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "manifests cannot be listed");
                return None;
            }
        };
        if self.before.as_ref() == Some(&listing) {
            return None;
        }
        let mut documents = Documents::default();
        let (texts, unreadable) = listing.read();
        let mut all: Vec<Arc<SecretJson>> = Vec::new();
        for (name, text) in texts {
            let text = Zeroizing::new(text);
            parse(&name, &text, &mut documents);
            // What is wrong was said above.
            all.extend(objects(&name, &text, &mut Vec::new()).into_iter().map(SecretJson::new).map(Arc::new));
        }
        for (name, error) in unreadable {
            let fault = Fault::new(FaultKind::Invalid, &name, format!("unreadable: {error}"));
            documents.faults.push(fault.cure("let the broker read it, in UTF-8"));
        }
        self.before = Some(listing);
        let mut resolved = documents.resolve();
        resolved.faults.extend(resolved.set.external_secrets.values().filter_map(|external| without_marks(external)));
        self.hand_over(&mut resolved, &all);
        Some(resolved)
    }
}
