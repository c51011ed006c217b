//! The folder of manifests.

use std::path::Path;

use kubernetes::manifests::{self, Listing};
use model::{Fault, FaultKind};
use secret_sync::{Documents, Resolved, parse};
use zeroize::Zeroizing;

/// What the folder held when it was last read.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    before: Option<Listing>,
}

impl Manifests {
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
        for (name, text) in texts {
            let text = Zeroizing::new(text);
            parse(&name, &text, &mut documents);
        }
        for (name, error) in unreadable {
            let fault = Fault::new(FaultKind::Invalid, &name, format!("unreadable: {error}"));
            documents.faults.push(fault.cure("let the broker read it, in UTF-8"));
        }
        self.before = Some(listing);
        Some(documents.resolve())
    }
}
