//! Leases: who owns a partition or a singleton. The server forgets a lease 15 s after its last renewal.

use crate::connection::Bus;

/// An owned lease. Renew it every 5 s; stop at once when that fails.
#[derive(Debug)]
pub struct Lease {
    store: async_nats::jetstream::kv::Store,
    key: String,
    holder: String,
    revision: u64,
}

impl Bus {
    /// Takes the lease `key`, or says who holds it.
    ///
    /// # Errors
    /// [`LeaseError::Held`] when somebody else holds it, [`LeaseError::Store`] when the store does not answer.
    pub async fn lease(&self, key: &str) -> Result<Lease, LeaseError> {
        let cannot =
            |error: Box<dyn std::error::Error + Send + Sync>| LeaseError::Store { key: key.to_owned(), source: error };
        let store = self.jetstream.get_key_value(BUCKET).await.map_err(|error| cannot(Box::new(error)))?;
        let holder = self.origin.source();
        match store.create(key, holder.clone().into()).await {
            Ok(revision) => Ok(Lease { store, key: key.to_owned(), holder, revision }),
            Err(error) if error.kind() == async_nats::jetstream::kv::CreateErrorKind::AlreadyExists => {
                let held = store.get(key).await.ok().flatten();
                let by = held.map_or_else(
                    || "an unknown holder".to_owned(),
                    |value| String::from_utf8_lossy(&value).into_owned(),
                );
                Err(LeaseError::Held { key: key.to_owned(), by })
            }
            Err(error) => Err(cannot(Box::new(error))),
        }
    }
}

impl Lease {
    /// Prolongs the lease by 15 s.
    ///
    /// # Errors
    /// When it was lost, or the store does not answer; ownership is then not certain any more.
    pub async fn renew(&mut self) -> Result<(), LeaseError> {
        match self.store.update(&self.key, self.holder.clone().into(), self.revision).await {
            Ok(revision) => {
                self.revision = revision;
                Ok(())
            }
            Err(source) => Err(LeaseError::Store { key: self.key.clone(), source: Box::new(source) }),
        }
    }

    /// The fencing token: grows with each renewal, whoever makes it.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Gives the lease up, so that the next holder need not wait.
    pub async fn release(self) {
        if let Err(error) = self.store.delete_expect_revision(&self.key, Some(self.revision)).await {
            tracing::debug!(%error, "lease was not released, it ends by itself");
        }
    }
}

/// A lease was not taken or not kept.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else holds it.
    #[error("lease `{key}` is held by {by}")]
    Held {
        /// The lease.
        key: String,
        /// The holder.
        by: String,
    },
    /// The store does not answer.
    #[error("lease `{key}` cannot be kept")]
    Store {
        /// The lease.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

const BUCKET: &str = "biotope_leases";
