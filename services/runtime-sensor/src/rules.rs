//! The rules in force: files that are followed, or the set that is built in.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use model::{Fault, FaultKind};
use runtime_rules::{LoadOptions, Loaded, RuleSet, SourceFile};
use service::{Context, Faults};
use sha2::Digest as _;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::{fields, syscalls};

/// The rules in force. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    set: Arc<Mutex<Arc<RuleSet>>>,
}

impl Rules {
    /// Loads the files and follows them. A change that leaves no rule at all is not taken: the old set stays.
    pub(crate) fn watch(context: &Context, config: &Config) -> anyhow::Result<Self> {
        let ready = context.readiness.part("rules");
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
        let rules = Self { set: Arc::new(Mutex::new(Arc::new(loaded.rules))) };
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
        let before = stamps(&config.rules);
        Follower { rules: self.clone(), files: config.rules.clone(), options: config.load_options(), before }
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
    fn reload(&self, loaded: &Loaded, faults: &Faults) {
        let count = loaded.rules.rules().len();
        let broken = loaded.faults.iter().find(|fault| fault.kind == FaultKind::Invalid).map(ToString::to_string);
        faults.replace("rules", loaded.faults.clone());
        let why = broken.or_else(|| (count == 0).then(|| "the files hold no rule".to_owned()));
        if let Some(why) = why {
            tracing::error!(why, "the changed rules files are broken: the old rules stay in force");
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
    let mut loaded = read(files, options);
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

fn read(files: &[PathBuf], options: &LoadOptions) -> Loaded {
    if files.is_empty() {
        return RuleSet::load(&[SourceFile { name: "(built in)", text: BUILT_IN }], options);
    }
    let mut set_aside = Vec::new();
    let mut texts = Vec::new();
    for path in found(files, &mut set_aside) {
        let name = path.display().to_string();
        let size = path.metadata().map_or(0, |meta| meta.len());
        if size > options.max_file_bytes as u64 {
            let what = format!("{size} bytes are over the limit of {} for a rules file", options.max_file_bytes);
            set_aside.push(Fault::new(FaultKind::Invalid, &name, what).cure("split it"));
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => texts.push((name, text)),
            Err(error) => set_aside.push(
                Fault::new(FaultKind::Invalid, &name, format!("unreadable: {error}")).cure("check service.rules"),
            ),
        }
    }
    let sources: Vec<_> = texts.iter().map(|(name, text)| SourceFile { name, text }).collect();
    let mut loaded = RuleSet::load(&sources, options);
    loaded.faults.extend(set_aside);
    loaded
}

/// The files, those of folders in the order of their names. A folder without rules files is a fault: nobody means that.
fn found(paths: &[PathBuf], set_aside: &mut Vec<Fault>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths {
        let Ok(entries) = path.read_dir() else {
            found.push(path.clone());
            continue;
        };
        // A volume of Kubernetes has its files twice: below a hidden folder, and as links to them.
        let is_rules = |path: &PathBuf| {
            let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            let extension = path.extension().and_then(|extension| extension.to_str());
            !is_hidden && matches!(extension, Some("yaml" | "yml")) && path.is_file()
        };
        let mut below: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_rules).collect();
        below.sort();
        if below.is_empty() {
            let fault = Fault::new(FaultKind::Invalid, &path.display().to_string(), "the folder has no rules file");
            set_aside.push(fault.cure("put files that end in .yaml or .yml there, or check what is mounted"));
        }
        found.extend(below);
    }
    found
}

/// Name and SHA-256 of each file.
pub(crate) fn hashes(files: &[PathBuf]) -> Vec<(String, String)> {
    let hash = |path: PathBuf| {
        let text = std::fs::read(&path).ok()?;
        Some((path.file_name()?.to_string_lossy().into_owned(), format!("{:x}", sha2::Sha256::digest(text))))
    };
    found(files, &mut Vec::new()).into_iter().filter_map(hash).collect()
}

/// What shows that a file is another one or has other content.
type Stamp = (PathBuf, Option<(u64, u64, SystemTime)>);

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: PathBuf| {
        let meta = path.metadata().ok();
        let stamp = meta.and_then(|meta| Some((meta.ino(), meta.len(), meta.modified().ok()?)));
        (path, stamp)
    };
    found(files, &mut Vec::new()).into_iter().map(stamp).collect()
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
        let (rules, faults) = (Rules::fixed(load(&files, &LoadOptions::default()).rules), Faults::default());
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
