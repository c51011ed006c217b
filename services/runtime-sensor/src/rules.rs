//! The rules in force: files that are followed, or the set that is built in.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use model::{Fault, FaultKind};
use runtime_rules::{LoadOptions, Loaded, RuleSet, SourceFile};
use service::{Context, Faults};

use crate::{fields, syscalls};

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

    /// Takes changed files when they are good; what is in force is never given up for something broken.
    fn reload(&self, files: &[PathBuf], faults: &Faults) {
        let loaded = load(files);
        let count = loaded.rules.rules().len();
        let broken = loaded.faults.iter().find(|fault| fault.kind == FaultKind::Invalid).map(ToString::to_string);
        faults.replace("rules", loaded.faults);
        let why = broken.or_else(|| (count == 0).then(|| "the files hold no rule".to_owned()));
        if let Some(why) = why {
            tracing::error!(why, "the changed rules files are broken: the old rules stay in force");
            return;
        }
        tracing::info!(rules = count, "rules loaded again");
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded.rules);
    }
}

/// Loads files, or the rules that are built in when there are none.
pub(crate) fn load(files: &[PathBuf]) -> Loaded {
    let mut loaded = read(files);
    loaded.faults.extend(blind_spots(&loaded.rules));
    loaded
}

/// What rules ask for and this sensor has not: comparisons with such fields are false, and calls that are not watched never come.
/// Nobody should find that out too late.
fn blind_spots(rules: &RuleSet) -> Vec<Fault> {
    let mut faults = Vec::new();
    for rule in rules.rules() {
        let meaning = rule.meaning();
        let at =
            |kind, what: String| Fault::new(kind, &rule.place.0, what).at(rule.place.1, 0).about(rule.name.clone());
        let blind = meaning.condition_fields.iter().filter(|field| !fields::is_captured(field.id));
        for field in blind {
            let fault = at(FaultKind::Warning, format!("the sensor has no value for {field}"));
            faults.push(fault.cure("a comparison with it is false, also with !="));
        }
        if rule.types.is_broad() {
            let fault = at(FaultKind::Warning, "the rule names no event types".to_owned());
            faults.push(
                fault.cure("it is judged for calls about files, sockets and processes, not for each read and write"),
            );
        }
        let types = meaning.event_types.unwrap_or_default();
        if !types.is_empty() && !types.iter().any(|name| syscalls::is_watched(name)) {
            let fault = at(FaultKind::Unsupported, format!("events of type {}", types.join(", ")));
            faults.push(fault.cure("the rule never matches: the sensor does not watch these calls"));
        }
    }
    faults
}

fn read(files: &[PathBuf]) -> Loaded {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn rule(name: &str, condition: &str) -> String {
        format!("- rule: {name}\n  desc: d\n  condition: {condition}\n  output: x\n  priority: INFO\n")
    }

    fn names(rules: &Rules) -> Vec<String> {
        rules.now().rules().iter().map(|rule| rule.name.clone()).collect()
    }

    #[test]
    fn a_broken_file_keeps_the_old_rules_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("a.yaml"), folder.path().join("b.yaml")];
        fs::write(&files[0], rule("one", "evt.type = execve")).unwrap();
        fs::write(&files[1], rule("two", "evt.type = open")).unwrap();
        let (rules, faults) = (Rules::fixed(load(&files).rules), Faults::default());
        assert_eq!(names(&rules), ["one", "two"]);
        for broken in ["- rule: [", &rule("two", "evt.type = open and"), &rule("two", "proc.nonsense = 1")] {
            fs::write(&files[1], broken).unwrap();
            rules.reload(&files, &faults);
            assert_eq!(names(&rules), ["one", "two"], "{broken}");
            assert!(
                faults.all().iter().any(|fault| fault.kind == FaultKind::Invalid && fault.file.ends_with("b.yaml"))
            );
        }
        fs::remove_file(&files[1]).unwrap();
        rules.reload(&files, &faults);
        assert_eq!(names(&rules), ["one", "two"], "a file that is gone is no wish to have no rules");
        fs::write(&files[1], rule("three", "evt.type = open")).unwrap();
        rules.reload(&files, &faults);
        assert_eq!(names(&rules), ["one", "three"]);
        assert_eq!(faults.all(), []);
    }

    #[test]
    fn blind_spots_are_told_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(
            &file,
            rule("dns", "evt.type = connect and proc.nthreads = 1")
                + &rule("brk", "evt.type = signaldeliver")
                + &rule("any", "proc.name = x"),
        )
        .unwrap();
        let told: Vec<_> =
            load(&[file]).faults.iter().map(|fault| (fault.kind, fault.line, fault.what.clone())).collect();
        let costly = "Rule matches too many evt.type values. This has a significant performance penalty.";
        let expected = [
            (FaultKind::Warning, 11, costly.to_owned()),
            (FaultKind::Warning, 1, "the sensor has no value for proc.nthreads".to_owned()),
            (FaultKind::Unsupported, 6, "events of type signaldeliver".to_owned()),
            (FaultKind::Warning, 11, "the rule names no event types".to_owned()),
        ];
        assert_eq!(told, expected);
        assert_eq!(load(&[]).faults, [], "the built-in rules have none");
    }
}
