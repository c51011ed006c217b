//! The rules in force: files that are followed, or the set that is built in.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use model::{Fault, FaultKind};
use runtime_rules::{LoadOptions, Loaded, RuleSet, SourceFile};
use service::{Context, Faults};

/// The rules in force. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    set: Arc<Mutex<Arc<RuleSet>>>,
}

impl Rules {
    /// Loads the files and follows them. A change that leaves no rule at all is not taken: the old set stays.
    pub(crate) fn watch(context: &Context, files: &[PathBuf]) -> anyhow::Result<Self> {
        let ready = context.readiness.part("rules");
        let loaded = load(files);
        let count = loaded.rules.rules().len();
        context.faults.replace("rules", loaded.faults.clone());
        anyhow::ensure!(
            count > 0,
            "no rule could be loaded: {}",
            loaded.faults.first().map_or_else(|| "the files hold none".to_owned(), ToString::to_string)
        );
        tracing::info!(rules = count, set_aside = loaded.faults.len(), "rules loaded");
        ready.ready();
        let rules = Self { set: Arc::new(Mutex::new(Arc::new(loaded.rules))) };
        if !files.is_empty() {
            let (follower, files, shutdown, faults) =
                (rules.clone(), files.to_vec(), context.shutdown.clone(), context.faults.clone());
            let mut before = stamps(&files);
            context.spawn_vital("rules", async move {
                loop {
                    tokio::select! {
                        () = shutdown.cancelled() => return Ok(()),
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    }
                    let now = stamps(&files);
                    if now != before {
                        follower.reload(&files, &faults);
                        before = now;
                    }
                }
            });
        }
        Ok(rules)
    }

    /// A set that does not change.
    pub(crate) fn fixed(set: RuleSet) -> Self {
        Self { set: Arc::new(Mutex::new(Arc::new(set))) }
    }

    /// The set in force now.
    pub(crate) fn now(&self) -> Arc<RuleSet> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reload(&self, files: &[PathBuf], faults: &Faults) {
        let loaded = load(files);
        let count = loaded.rules.rules().len();
        faults.replace("rules", loaded.faults);
        if count == 0 {
            tracing::error!("the changed rules files hold no good rule: the old rules stay in force");
            return;
        }
        tracing::info!(rules = count, "rules loaded again");
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded.rules);
    }
}

/// Loads files, or the rules that are built in when there are none.
pub(crate) fn load(files: &[PathBuf]) -> Loaded {
    if files.is_empty() {
        return RuleSet::load(&[SourceFile { name: "(built in)", text: BUILT_IN }], &LoadOptions::default());
    }
    let mut unreadable = Vec::new();
    let mut texts = Vec::new();
    for path in files {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => texts.push((name, text)),
            Err(error) => unreadable.push(
                Fault::new(FaultKind::Invalid, &name, format!("unreadable: {error}")).cure("check service.rules"),
            ),
        }
    }
    let mut loaded = RuleSet::load(
        &texts.iter().map(|(name, text)| SourceFile { name, text }).collect::<Vec<_>>(),
        &LoadOptions::default(),
    );
    loaded.faults.extend(unreadable);
    loaded
}

fn stamps(files: &[PathBuf]) -> Vec<Option<(u64, SystemTime)>> {
    files.iter().map(|path| path.metadata().ok().and_then(|meta| Some((meta.len(), meta.modified().ok()?)))).collect()
}

const BUILT_IN: &str = include_str!("../rules/biotope_rules.yaml");
