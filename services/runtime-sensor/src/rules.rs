//! The rules in force: files that are followed, or the set that is built in.

mod files;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Fault, FaultKind};
use runtime_rules::{LoadOptions, Loaded, RuleSet, SourceFile};
use service::{Context, Faults};
use tokio_util::sync::CancellationToken;

pub(crate) use self::files::hashes;
use self::files::{Stamp, stamps};
use crate::config::Config;
use crate::{fields, syscalls};

/// The rules in force. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    set: Arc<Mutex<Arc<RuleSet>>>,
    /// What the files were like just before they were read.
    before: Vec<Stamp>,
}

impl Rules {
    /// Loads the files and follows them. A change that leaves no rule at all is not taken: the old set stays.
    pub(crate) fn watch(context: &Context, config: &Config) -> anyhow::Result<Self> {
        let ready = context.readiness.part("rules");
        let before = stamps(&config.rules);
        let loaded = load(&config.rules, &config.load_options());
        let count = loaded.rules.rules().len();
        context.faults.replace("rules", loaded.faults.clone());
        anyhow::ensure!(
            count > 0,
            "no rule could be loaded: {}",
            loaded.faults.first().map_or_else(|| "the files hold none".to_owned(), ToString::to_string)
        );
        tracing::info!(rules = count, set_aside = loaded.faults.len(), "rules loaded");
        ready.ready();
        let rules = Self::of(loaded.rules, before);
        if !config.rules.is_empty() {
            let (follower, faults) = (rules.follower(config), context.faults.clone());
            let shutdown = context.shutdown.clone();
            context.spawn_vital("rules", async move {
                follower.run(&shutdown, &faults).await;
                Ok(())
            });
        }
        Ok(rules)
    }

    /// Follows the files without a service around.
    pub(crate) fn follow(&self, config: &Config, shutdown: &CancellationToken) -> std::io::Result<()> {
        let (follower, shutdown) = (self.follower(config), shutdown.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let faults = Faults::default();
        std::thread::Builder::new()
            .name("rules".to_owned())
            .spawn(move || runtime.block_on(follower.run(&shutdown, &faults)))
            .map(drop)
    }

    fn follower(&self, config: &Config) -> Follower {
        let (files, before) = (config.rules.clone(), self.before.clone());
        Follower { rules: self.clone(), files, options: config.load_options(), before }
    }

    /// Loads the files without a service around: what is wrong with them is handed out beside the rules.
    pub(crate) fn load(config: &Config) -> (Self, Vec<Fault>) {
        let before = stamps(&config.rules);
        let loaded = load(&config.rules, &config.load_options());
        (Self::of(loaded.rules, before), loaded.faults)
    }

    fn of(set: RuleSet, before: Vec<Stamp>) -> Self {
        Self { set: Arc::new(Mutex::new(Arc::new(set))), before }
    }

    /// The set in force now.
    pub(crate) fn now(&self) -> Arc<RuleSet> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes changed files when they are good; what is in force is never given up for something broken.
    fn reload(&self, loaded: &Loaded, faults: &Faults) {
        let count = loaded.rules.rules().len();
        let broken: Vec<_> = loaded.faults.iter().filter(|fault| fault.kind == FaultKind::Invalid).collect();
        faults.replace("rules", loaded.faults.clone());
        let why = broken.first().map(ToString::to_string);
        let why = why.or_else(|| (count == 0).then(|| "the files hold no rule".to_owned()));
        if let Some(why) = why {
            let more = broken.len().saturating_sub(1);
            tracing::error!(why, more, "the changed rules files are broken: the old rules stay in force");
            return;
        }
        tracing::info!(rules = count, "rules loaded again");
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded.rules.clone());
    }
}

/// Looks at the files every half second. Polling sees what inotify does not: changes on network file systems, and links that are
/// switched, which is how Kubernetes changes a volume.
struct Follower {
    rules: Rules,
    files: Vec<PathBuf>,
    options: LoadOptions,
    /// What the files were like when they were last read.
    before: Vec<Stamp>,
}

impl Follower {
    async fn run(mut self, shutdown: &CancellationToken, faults: &Faults) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            let now = stamps(&self.files);
            if now != self.before {
                self.rules.reload(&load(&self.files, &self.options), faults);
                self.before = now;
            }
        }
    }
}

/// Loads files, or the rules that are built in when there are none.
pub(crate) fn load(files: &[PathBuf], options: &LoadOptions) -> Loaded {
    let mut loaded = match files {
        [] => RuleSet::load(&[SourceFile { name: "(built in)", text: BUILT_IN }], options),
        files => files::load(files, options),
    };
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
        let set = load(&files, &LoadOptions::default()).rules;
        let (rules, faults) = (Rules::of(set, stamps(&files)), Faults::default());
        assert_eq!(names(&rules), ["one", "two"]);
        for broken in ["- rule: [", &rule("two", "evt.type = open and"), &rule("two", "proc.nonsense = 1")] {
            fs::write(&files[1], broken).unwrap();
            rules.reload(&load(&files, &LoadOptions::default()), &faults);
            assert_eq!(names(&rules), ["one", "two"], "{broken}");
            assert!(
                faults.all().iter().any(|fault| fault.kind == FaultKind::Invalid && fault.file.ends_with("b.yaml"))
            );
        }
        fs::remove_file(&files[1]).unwrap();
        rules.reload(&load(&files, &LoadOptions::default()), &faults);
        assert_eq!(names(&rules), ["one", "two"], "a file that is gone is no wish to have no rules");
        fs::write(&files[1], rule("three", "evt.type = open")).unwrap();
        rules.reload(&load(&files, &LoadOptions::default()), &faults);
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
        let told: Vec<_> = load(&[file], &LoadOptions::default())
            .faults
            .iter()
            .map(|fault| (fault.kind, fault.line, fault.what.clone()))
            .collect();
        let costly = "Rule matches too many evt.type values. This has a significant performance penalty.";
        let expected = [
            (FaultKind::Warning, 11, costly.to_owned()),
            (FaultKind::Warning, 1, "the sensor has no value for proc.nthreads".to_owned()),
            (FaultKind::Unsupported, 6, "events of type signaldeliver".to_owned()),
            (FaultKind::Warning, 11, "the rule names no event types".to_owned()),
        ];
        assert_eq!(told, expected);
        assert_eq!(load(&[], &LoadOptions::default()).faults, [], "the built-in rules have none");
    }
}
