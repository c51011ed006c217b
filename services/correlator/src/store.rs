//! The local transaction: state, cursors and outgoing messages, committed together.

use std::path::Path;

use correlation::{Change, Record};
use model::IncidentId;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use schemas::incident::v1::Incident;
use serde::{Deserialize, Serialize};

/// The database of one correlator.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
}

/// Positions in the streams: the last messages whose effect is in the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursors {
    /// In the events stream.
    pub(crate) events: u64,
    /// In the build stream.
    pub(crate) build: u64,
}

/// One message that waits to be published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Outgoing {
    /// An incident opened.
    Opened(Box<Incident>),
    /// An incident has new evidence.
    Updated(Box<Incident>),
    /// An incident ended.
    Resolved(Box<Incident>),
    /// A response is asked for.
    Response(Box<Incident>, String),
    /// Events were lost before they could be read: how many of the stream, from which position.
    Lost {
        /// First position that is missing.
        from: u64,
        /// How many.
        count: u64,
    },
}

/// Everything of one commit.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Pieces of state that changed.
    pub(crate) changes: Vec<Change>,
    /// Keys of pieces to delete.
    pub(crate) delete: Vec<String>,
    /// Where the streams were read up to.
    pub(crate) cursors: Cursors,
    /// New outgoing messages, by number.
    pub(crate) outgoing: Vec<(u64, Outgoing)>,
    /// Incidents that are too old to be shown.
    pub(crate) forget: Vec<IncidentId>,
    /// Numbers of messages that the stream has.
    pub(crate) sent: Vec<u64>,
}

/// What was saved.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// Cursors.
    pub(crate) cursors: Cursors,
    /// Pieces of state.
    pub(crate) pieces: Vec<(String, Record)>,
    /// Messages that were committed but perhaps not published.
    pub(crate) outgoing: Vec<(u64, Outgoing)>,
    /// Last state of each incident.
    pub(crate) incidents: Vec<Incident>,
    /// Pieces that could not be read, with the reason.
    pub(crate) unreadable: Vec<(String, String)>,
}

impl Store {
    /// Opens the database in `folder`, which is made when absent.
    ///
    /// # Errors
    /// When the folder cannot be used or another process has the database.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("state.redb");
        let cannot = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Open {
            path: path.display().to_string(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(|error| cannot(Box::new(error)))?;
        let database = Database::create(&path).map_err(|error| cannot(Box::new(error)))?;
        let store = Self { database };
        // The tables are made here so that reading never meets a missing one.
        store.commit(&Batch { cursors: store.cursors().unwrap_or_default(), ..Batch::default() })?;
        Ok(store)
    }

    /// A name that this state has had since it was made. Only the process that has the database open can read it, so who knows it
    /// knows that no other process works on this state.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub(crate) fn identity(&self) -> Result<String, StoreError> {
        let made = || -> Result<String, Failure> {
            let transaction = self.database.begin_write()?;
            let name = {
                let mut table = transaction.open_table(IDENTITY)?;
                let known = table.get("name")?.map(|value| value.value().to_owned());
                match known {
                    Some(name) => name,
                    None => {
                        let name = uuid::Uuid::new_v4().simple().to_string();
                        table.insert("name", name.as_str())?;
                        name
                    }
                }
            };
            transaction.commit()?;
            Ok(name)
        };
        made().map_err(|source| StoreError::Load { source })
    }

    /// Commits a batch: all of it or nothing, on disk when this returns.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(crate) fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write(batch).map_err(|source| StoreError::Commit { source })
    }

    fn write(&self, batch: &Batch) -> Result<(), Failure> {
        let transaction = self.database.begin_write()?;
        {
            let mut state = transaction.open_table(STATE)?;
            for change in &batch.changes {
                match &change.record {
                    Some(record) => state.insert(change.key.as_str(), bus::to_stored(record)?.as_slice())?,
                    None => state.remove(change.key.as_str())?,
                };
            }
            for key in &batch.delete {
                state.remove(key.as_str())?;
            }
            let mut cursors = transaction.open_table(CURSORS)?;
            cursors.insert("events", batch.cursors.events)?;
            cursors.insert("build", batch.cursors.build)?;
            let mut outgoing = transaction.open_table(OUTGOING)?;
            let mut incidents = transaction.open_table(INCIDENTS)?;
            for (number, message) in &batch.outgoing {
                outgoing.insert(number, bus::to_stored(message)?.as_slice())?;
                if let Some(incident) = message.incident() {
                    incidents.insert(incident.id.as_str(), bus::to_stored(incident)?.as_slice())?;
                }
            }
            for id in &batch.forget {
                incidents.remove(id.as_str())?;
            }
            for number in &batch.sent {
                outgoing.remove(number)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn cursors(&self) -> Result<Cursors, Failure> {
        let table = self.database.begin_read()?.open_table(CURSORS)?;
        let at = |name: &str| -> Result<u64, Failure> { Ok(table.get(name)?.map_or(0, |value| value.value())) };
        Ok(Cursors { events: at("events")?, build: at("build")? })
    }

    /// Reads all that was saved. A piece that cannot be read is left out and named.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn load(&self) -> Result<Saved, StoreError> {
        self.read().map_err(|source| StoreError::Load { source })
    }

    fn read(&self) -> Result<Saved, Failure> {
        let mut saved = Saved { cursors: self.cursors()?, ..Saved::default() };
        let transaction = self.database.begin_read()?;
        for entry in transaction.open_table(STATE)?.iter()? {
            let (key, value) = entry?;
            match bus::from_stored(value.value()) {
                Ok(record) => saved.pieces.push((key.value().to_owned(), record)),
                Err(error) => saved.unreadable.push((key.value().to_owned(), error.to_string())),
            }
        }
        for entry in transaction.open_table(OUTGOING)?.iter()? {
            let (number, value) = entry?;
            match bus::from_stored(value.value()) {
                Ok(message) => saved.outgoing.push((number.value(), message)),
                Err(error) => saved.unreadable.push((format!("outgoing {}", number.value()), error.to_string())),
            }
        }
        for entry in transaction.open_table(INCIDENTS)?.iter()? {
            let (id, value) = entry?;
            match bus::from_stored(value.value()) {
                Ok(incident) => saved.incidents.push(incident),
                Err(error) => saved.unreadable.push((format!("incident {}", id.value()), error.to_string())),
            }
        }
        Ok(saved)
    }
}

impl Outgoing {
    /// The incident that it says the new state of.
    #[must_use]
    pub(crate) fn incident(&self) -> Option<&Incident> {
        match self {
            Self::Opened(incident) | Self::Updated(incident) | Self::Resolved(incident) => Some(incident),
            Self::Response(..) | Self::Lost { .. } => None,
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It cannot be opened.
    #[error("cannot open `{path}`: check that the folder is writable and that no other correlator uses it")]
    Open {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Failure,
    },
    /// It cannot be written.
    #[error("cannot commit the state: check that the disk has room")]
    Commit {
        /// Why.
        #[source]
        source: Failure,
    },
    /// It cannot be read.
    #[error("cannot read the state")]
    Load {
        /// Why.
        #[source]
        source: Failure,
    },
}

// The number is the version of what is inside. Another version starts with empty tables: the cursors are among them, so the streams
// are read again from their beginning and lead to the same incidents.
const IDENTITY: TableDefinition<'_, &str, &str> = TableDefinition::new("identity");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state/2");
const CURSORS: TableDefinition<'_, &str, u64> = TableDefinition::new("cursors/2");
const OUTGOING: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outgoing/2");
const INCIDENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("incidents/2");
