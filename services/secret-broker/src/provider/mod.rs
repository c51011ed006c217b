//! Providers: what answers for a store.

mod fake;
mod login;
mod vault;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use secret_sync::{FetchKey, FetchProblem, Provider as Kind, Reading, Store, StoreRef, VaultStore};

use crate::credentials::Vault;

pub(crate) use vault::{Call, Checked, Means, VaultProvider, kv_path};

/// What a provider does. Problems never hold a value.
pub(crate) trait Provider: fmt::Debug + Send + Sync {
    /// The revisions of paths, without their values, by as few calls as the server lets it be; `None` for a path that has none.
    fn check_many(&self, keys: Vec<FetchKey>) -> BoxFuture<'_, Checked>;

    /// The content of a path; `None` when it has none.
    fn read<'a>(&'a self, key: &'a FetchKey) -> BoxFuture<'a, Result<Option<Reading>, FetchProblem>>;

    /// Writes a new version of a path, with new values under the keys that the secret itself says may have them.
    fn rotate<'a>(&'a self, key: &'a FetchKey) -> BoxFuture<'a, Result<Made, FetchProblem>>;

    /// Makes a call that is told of by a server that tells, and costs little.
    fn knock(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A version that was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// Version before.
    pub(crate) previous: String,
    /// The new one.
    pub(crate) version: String,
    /// Keys with new values.
    pub(crate) keys: Vec<String>,
}

/// The logins at vaults: all who reach a server in the same way share one. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    means: Means,
    known: Arc<Mutex<Vec<Known>>>,
}

/// A login with the time when it was asked for last.
type Known = (Arc<VaultProvider>, Instant);

impl Pool {
    pub(crate) fn new(means: Means) -> Self {
        Self { means, known: Arc::default() }
    }

    /// Where the logins find their credentials.
    pub(crate) fn credentials(&self) -> &Vault {
        &self.means.credentials
    }

    /// The login at a server.
    pub(crate) fn of(&self, store: &VaultStore) -> Arc<VaultProvider> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(provider, asked)| Arc::strong_count(provider) > 1 || asked.elapsed() < UNUSED);
        if let Some((provider, asked)) = known.iter_mut().find(|(provider, _)| provider.store() == store) {
            *asked = Instant::now();
            return provider.clone();
        }
        let made = Arc::new(VaultProvider::new(store.clone(), self.means.clone()));
        known.push((made.clone(), Instant::now()));
        made
    }
}

/// How long a login is kept that no store in force has: those of generators and searches come back at their interval.
const UNUSED: Duration = Duration::from_secs(2 * 3_600);

/// The providers of the stores in force: stores that are reached in the same way share one, and so its login.
#[derive(Debug)]
pub(crate) struct Providers {
    by_store: BTreeMap<StoreRef, (Arc<Store>, Arc<dyn Provider>)>,
    pool: Pool,
}

impl Providers {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { by_store: BTreeMap::new(), pool }
    }

    /// The stores in force that are at one of `servers`.
    pub(crate) fn at(&self, servers: &BTreeSet<String>) -> BTreeSet<StoreRef> {
        let is_at = |store: &Store| matches!(&store.provider, Kind::Vault(vault) if servers.contains(&vault.server));
        self.by_store.iter().filter(|(_, (store, _))| is_at(store)).map(|(id, _)| id.clone()).collect()
    }

    /// The vaults of the stores in force.
    pub(crate) fn servers(&self) -> BTreeSet<String> {
        let server = |(store, _): &(Arc<Store>, Arc<dyn Provider>)| match &store.provider {
            Kind::Vault(vault) => Some(vault.server.clone()),
            Kind::Fake(_) => None,
        };
        self.by_store.values().filter_map(server).collect()
    }

    /// The provider of a store in force that is at `server`, and how many of `sources` are there.
    pub(crate) fn of_server<'k>(
        &self,
        server: &str,
        sources: impl Iterator<Item = &'k FetchKey>,
    ) -> Option<(Arc<dyn Provider>, usize)> {
        let stores = self.at(&BTreeSet::from([server.to_owned()]));
        let provider = self.find(stores.first()?)?;
        Some((provider, sources.filter(|key| stores.contains(&key.store)).count()))
    }

    /// Mount and path of a key, where its store is a vault.
    pub(crate) fn place(&self, key: &FetchKey) -> Option<(String, String)> {
        match &self.by_store.get(&key.store)?.0.provider {
            Kind::Vault(vault) => Some(kv_path(vault, &key.path)),
            Kind::Fake(_) => None,
        }
    }

    /// Follows the stores in force; a store that did not change keeps its login.
    pub(crate) fn replace(&mut self, stores: &BTreeMap<StoreRef, Arc<Store>>) {
        let mut next: BTreeMap<StoreRef, (Arc<Store>, Arc<dyn Provider>)> = BTreeMap::new();
        for (id, store) in stores {
            let known = self.by_store.values().chain(next.values());
            let same = known.into_iter().find(|(other, _)| other.provider == store.provider);
            let provider = same.map_or_else(|| self.make(store), |(_, provider)| provider.clone());
            next.insert(id.clone(), (store.clone(), provider));
        }
        self.by_store = next;
    }

    /// The provider of a store, if it is in force.
    pub(crate) fn find(&self, store: &StoreRef) -> Option<Arc<dyn Provider>> {
        self.by_store.get(store).map(|(_, provider)| provider.clone())
    }

    fn make(&self, store: &Store) -> Arc<dyn Provider> {
        match &store.provider {
            Kind::Vault(vault) => self.pool.of(vault),
            Kind::Fake(values) => Arc::new(fake::FakeProvider::new(values.clone())),
        }
    }
}
