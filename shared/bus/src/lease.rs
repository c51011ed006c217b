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
        self.lease_as(key, "").await
    }

    /// Takes the lease `key` for `owner`, one word. A lease of the same owner is taken over at once: who calls this must know that
    /// the process which held it has ended, for example by a lock on the owner's state that only one process can have.
    ///
    /// # Errors
    /// As [`Self::lease`].
    pub async fn lease_as(&self, key: &str, owner: &str) -> Result<Lease, LeaseError> {
        let cannot =
            |error: Box<dyn std::error::Error + Send + Sync>| LeaseError::Store { key: key.to_owned(), source: error };
        let store = self.jetstream.get_key_value(BUCKET).await.map_err(|error| cannot(Box::new(error)))?;
        let holder = format!("{} {owner}", self.origin.source()).trim_end().to_owned();
        let created = store.create(key, holder.clone().into()).await;
        let taken = |revision| Lease { store: store.clone(), key: key.to_owned(), holder: holder.clone(), revision };
        match created {
            Ok(revision) => return Ok(taken(revision)),
            Err(error) if error.kind() == async_nats::jetstream::kv::CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot(Box::new(error))),
        }
        let held = store.entry(key).await.ok().flatten();
        let text = held.as_ref().map(|entry| String::from_utf8_lossy(&entry.value).into_owned()).unwrap_or_default();
        let (by, whose) = text.split_once(' ').unwrap_or((&text, ""));
        if let Some(entry) = held.as_ref().filter(|_| !owner.is_empty() && whose == owner)
            && let Ok(revision) = store.update(key, holder.clone().into(), entry.revision).await
        {
            return Ok(taken(revision));
        }
        let by = if by.is_empty() { "an unknown holder".to_owned() } else { by.to_owned() };
        Err(LeaseError::Held { key: key.to_owned(), by })
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
