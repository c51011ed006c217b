//! The advisories in force: a folder of OSV files, security databases of Alpine's form, and Trivy's databases; read again when it
//! changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use image_inventory::jars::{self, JarIndex};
use image_inventory::{ImageInventory, Package};
use model::{Fault, FaultKind};
use vulnerability_matching::database::VulnerabilityDetail;
use vulnerability_matching::{AdvisoryIndex, Listening, OperatingSystem, Remembered};

use crate::basis::{self, Basis};
use crate::java;
use crate::mapped::Mapped;
use crate::matches::{Found, Match, Words};
use crate::trivy::{Metadata, TrivyDatabase, holds_s, now_s};

/// Advisories that packages are matched with. Immutable; a changed folder gives a new one.
#[derive(Debug, Default)]
pub struct Advisories {
    index: AdvisoryIndex,
    trivy: Option<TrivyDatabase>,
    java: Option<(JarIndex<Mapped>, Metadata)>,
    name: String,
    /// Databases that are there and cannot be used: what they would find is missing.
    broken: Vec<Fault>,
    /// What the Java database is told from others by.
    java_stamp: u64,
}

/// What a folder looked like: when it changes, the advisories are read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

impl Advisories {
    /// Reads every `*.json` below `folder`, also in `*.zip`, and opens the first `trivy.db` and the first Java database there are. Files
    /// that cannot be used are faults, and the rest goes on.
    #[must_use]
    pub fn load(folder: &Path, fingerprint: &Fingerprint) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        let (trivy, java) = (open_trivy(fingerprint, &mut faults), open_java(fingerprint, &mut faults));
        let broken = faults.clone();
        let mut reading = Reading {
            hash: ring::digest::Context::new(&ring::digest::SHA256),
            index: AdvisoryIndex::default(),
            faults,
        };
        for path in fingerprint.0.keys().filter(|path| is_text(path)) {
            reading.file(path);
        }
        let Reading { hash, index, mut faults } = reading;
        if index.is_empty() && trivy.is_none() && faults.is_empty() {
            let fault =
                Fault::new(FaultKind::Warning, &folder.display().to_string(), "no advisories: nothing can be found");
            faults.push(fault.cure("put OSV JSON files or a trivy.db into the folder (`biotope db update`)"));
        }
        let hash = hash.finish();
        let short: String = hash.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let java_index = java_folder(fingerprint).filter(|_| java.is_some()).map(|folder| folder.join(java::INDEX));
        let java_stamp = java_index.map_or(0, |path| basis::stamp(&path));
        let mut names: Vec<String> = trivy.iter().map(TrivyDatabase::name).collect();
        names.extend(java.iter().map(|(_, made)| format!("java-db:{}", made.updated_at)));
        if !index.is_empty() || trivy.is_none() {
            names.push(format!("osv:{} advisories:{short}", index.len()));
        }
        (Self { index, trivy, java, name: names.join(" "), broken, java_stamp }, faults)
    }

    /// Name of the database: how many advisories, and a hash of their bytes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known of the making of Trivy's database, where there is one.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.trivy.as_ref().map(TrivyDatabase::metadata)
    }

    /// What is known of the making of the Java database, where there is one.
    #[must_use]
    pub fn java_metadata(&self) -> Option<&Metadata> {
        self.java.as_ref().map(|(_, metadata)| metadata)
    }

    /// Gives Java archives that do not say what they are the names that the Java database knows them by.
    pub fn identify(&self, image: &mut ImageInventory) {
        if let Some((index, _)) = &self.java {
            jars::identify(image, index);
        }
    }

    /// What Trivy's database tells of a vulnerability; `None` when it tells nothing.
    #[must_use]
    pub fn detail(&self, id: &str) -> Option<VulnerabilityDetail> {
        self.trivy.as_ref().and_then(|trivy| trivy.detail(id))
    }

    /// Whether nothing can be found with them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty() && self.trivy.is_none()
    }

    /// Whether a database is there that cannot be used.
    pub(crate) fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Everything but what is asked for each package that findings depend on, in short.
    pub(crate) fn surroundings(&self, asks_java: bool) -> u64 {
        let java = if asks_java { self.java_stamp } else { 0 };
        let sources = [!self.index.is_empty(), self.trivy.is_some()].map(u64::from);
        let all = [*basis::PROGRAM, java, sources[0], sources[1]].map(u64::to_le_bytes);
        basis::short(&all.each_ref().map(<[u8; 8]>::as_slice))
    }

    /// What is answered to some questions, in short; `None` when that cannot be told. No question is asked of both sources.
    pub(crate) fn answers(&self, questions: &[u64]) -> Option<u64> {
        let of_index = |question| self.index.answer(question);
        match &self.trivy {
            Some(trivy) => trivy.answers(questions, of_index),
            None => Some(vulnerability_matching::answers(questions, of_index)),
        }
    }

    /// Matches everything in an image, worst first, and says what of the database could not be read. Where both sources know a
    /// vulnerability of a package, Trivy's word counts.
    #[must_use]
    pub fn findings(&self, image: &ImageInventory) -> (Vec<Match>, Vec<Fault>) {
        let Judged { found, faults, .. } = self.matcher().judge(image, now_s());
        (found.into_iter().map(Match::from).collect(), faults)
    }

    /// For matching many images: what one of them asked is remembered for the others.
    pub(crate) fn matcher(&self) -> Matcher<'_> {
        Matcher { advisories: self, trivy: self.trivy.as_ref().map(|trivy| (trivy, trivy.remembered())) }
    }

    fn osv_findings<'i>(&self, image: &'i ImageInventory, questions: &mut Vec<u64>) -> Vec<Found<'i>> {
        let installed: Vec<(&Package, &str)> = image
            .packages
            .iter()
            .map(|package| (package, package.file_path.as_str()))
            .chain(image.applications.iter().flat_map(|application| {
                application.packages.iter().map(|package| {
                    let own = package.file_path.as_str();
                    (package, if own.is_empty() { application.file_path.as_str() } else { own })
                })
            }))
            .filter(|(package, _)| package.purl.is_some())
            .collect();
        let packages: Vec<_> = installed.iter().filter_map(|(package, _)| matchable(package)).collect();
        let system = image
            .operating_system
            .as_ref()
            .map(|system| OperatingSystem { family: system.family.clone(), release: system.release.clone() });
        let matched = self.index.match_listening(&packages, system.as_ref(), questions);
        matched
            .into_iter()
            .filter_map(|finding| installed.get(finding.package).map(|place| named(finding, *place)))
            .collect()
    }
}

/// Advisories with what was asked of them before.
pub(crate) struct Matcher<'a> {
    advisories: &'a Advisories,
    trivy: Option<(&'a TrivyDatabase, Remembered<'a>)>,
}

/// What came of matching an image.
pub(crate) struct Judged<'i> {
    /// Findings, worst first.
    pub(crate) found: Vec<Found<'i>>,
    /// What of the database could not be read.
    pub(crate) faults: Vec<Fault>,
    /// Whether findings may be missing, because something could not be read.
    pub(crate) is_partial: bool,
    /// What the findings rest on; `None` when that cannot be told in short.
    pub(crate) basis: Option<Basis>,
}

impl Matcher<'_> {
    /// As [`Advisories::findings`], at a time.
    pub(crate) fn judge<'i>(&self, image: &'i ImageInventory, now_s: i64) -> Judged<'i> {
        let (mut found, mut faults, questions) = match &self.trivy {
            Some((trivy, asked)) => {
                let listening = Listening::new(asked);
                let (found, faults) = trivy.found(&listening, image, now_s);
                (found, faults, listening.questions())
            }
            None => (Vec::new(), Vec::new(), Some(Vec::new())),
        };
        let mut of_osv = Vec::new();
        if !self.advisories.index.is_empty() {
            let more = self.advisories.osv_findings(image, &mut of_osv);
            let more: Vec<Found<'_>> = more.into_iter().filter(|new| !is_known(new, &found)).collect();
            found.extend(more);
        }
        found.sort_by(|a, b| {
            let by_place = || (&a.package.name, a.path, &a.id).cmp(&(&b.package.name, b.path, &b.id));
            b.severity.cmp(&a.severity).then_with(by_place)
        });
        faults.extend(self.advisories.broken.iter().cloned());
        let is_partial = faults.iter().any(|fault| fault.kind == FaultKind::Invalid);
        let basis = questions.filter(|_| !is_partial).and_then(|mut questions| {
            questions.extend(of_osv);
            questions.sort_unstable();
            questions.dedup();
            self.basis(image, questions, now_s)
        });
        Judged { found, faults, is_partial, basis }
    }

    fn basis(&self, image: &ImageInventory, questions: Vec<u64>, now_s: i64) -> Option<Basis> {
        let asks_java = !image.unidentified.is_empty();
        Some(Basis {
            asks_java,
            surroundings: self.advisories.surroundings(asks_java),
            inventory: 0,
            holds_s: holds_s(image, now_s),
            answers: self.advisories.answers(&questions)?,
            questions,
        })
    }
}

/// Whether the same vulnerability of the same package is there already, under any of its names.
fn is_known(new: &Found<'_>, known: &[Found<'_>]) -> bool {
    known.iter().any(|old| {
        let is_same = old.id == new.id || new.aliases.contains(&old.id) || old.aliases.contains(&new.id);
        is_same
            && (&old.package.name, old.path, &old.installed_version)
                == (&new.package.name, new.path, &new.installed_version)
    })
}

impl Fingerprint {
    /// Looks at a folder and its folders, eight levels deep.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut pending = vec![(folder.to_owned(), 0_u8)];
        while let Some((folder, depth)) = pending.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
                let (path, Ok(meta)) = (entry.path(), entry.metadata()) else { continue };
                if meta.is_dir() && depth < 8 {
                    pending.push((path, depth.saturating_add(1)));
                } else if is_trivy(&path) || java::is_java(&path) || is_text(&path) || is_metadata(&path) {
                    files.insert(path, (meta.len(), meta.modified().ok()));
                }
            }
        }
        Self(files)
    }
}

fn is_trivy(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "trivy.db")
}

/// A file of advisories, or an archive of such.
fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json" || extension == "zip") && !is_metadata(path)
}

/// What stands beside a database is no advisory.
fn is_metadata(path: &Path) -> bool {
    let databases = ["trivy.db", java::DATABASE, java::INDEX];
    path.file_name().is_some_and(|name| name == "metadata.json")
        && databases.iter().any(|name| path.with_file_name(name).is_file())
}

/// Advisories while they are read.
struct Reading {
    hash: ring::digest::Context,
    index: AdvisoryIndex,
    faults: Vec<Fault>,
}

impl Reading {
    fn file(&mut self, path: &Path) {
        let shown = path.display().to_string();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let fault = Fault::new(FaultKind::Invalid, &shown, format!("cannot be read: {error}"));
                return self.faults.push(fault.cure("check the rights of the file"));
            }
        };
        self.hash.update(&bytes);
        if path.extension().is_none_or(|extension| extension != "zip") {
            return self.index.add(&shown, &bytes, &mut self.faults);
        }
        let unreadable = |name: &str, error: image_inventory::ParseError, faults: &mut Vec<Fault>| {
            let fault = Fault::new(FaultKind::Invalid, name, error.to_string());
            faults.push(fault.cure("fetch the archive again"));
        };
        let wants = |name: &str| name.ends_with(".json");
        let read = image_inventory::each_member(&bytes, (MOST_ADVISORY_BYTES, wants), &mut |name, content| {
            let shown = format!("{shown}/{name}");
            match content {
                Ok(content) => self.index.add(&shown, &content, &mut self.faults),
                Err(error) => unreadable(&shown, error, &mut self.faults),
            }
        });
        if let Err(error) = read {
            unreadable(&shown, error, &mut self.faults);
        }
    }
}

/// The longest advisory in an archive; the largest there is has below a mebibyte.
const MOST_ADVISORY_BYTES: usize = 64 << 20;

fn java_folder(fingerprint: &Fingerprint) -> Option<&Path> {
    fingerprint.0.keys().find(|path| java::is_java(path))?.parent()
}

fn open_java(fingerprint: &Fingerprint, faults: &mut Vec<Fault>) -> Option<(JarIndex<Mapped>, Metadata)> {
    let folder = java_folder(fingerprint)?;
    match java::open(folder) {
        Ok(index) => {
            let metadata = crate::trivy::read_metadata(&folder.join("metadata.json")).unwrap_or_default();
            Some((index, metadata))
        }
        Err(error) => {
            let fault = Fault::new(FaultKind::Invalid, &folder.display().to_string(), error.to_string());
            faults.push(fault.cure("fetch it again with `biotope db update --java-source ...`, or remove it"));
            None
        }
    }
}

fn open_trivy(fingerprint: &Fingerprint, faults: &mut Vec<Fault>) -> Option<TrivyDatabase> {
    let path = fingerprint.0.keys().find(|path| is_trivy(path))?;
    match TrivyDatabase::open(path) {
        Ok(database) => Some(database),
        Err(error) => {
            let fault = Fault::new(FaultKind::Invalid, &path.display().to_string(), error.to_string());
            faults.push(fault.cure("fetch it again with `biotope db update`, or remove it"));
            None
        }
    }
}

fn matchable(package: &Package) -> Option<vulnerability_matching::Package> {
    Some(vulnerability_matching::Package {
        name: package.name.clone(),
        version: package.full_version(),
        source_name: package.source_name.clone(),
        source_version: package.full_source_version(),
        purl: package.purl.clone()?,
    })
}

fn named<'i>(finding: vulnerability_matching::Finding, (package, path): (&'i Package, &'i str)) -> Found<'i> {
    let fixed_version = finding.fixed_version.unwrap_or_default();
    Found {
        package,
        path,
        id: finding.id,
        aliases: finding.aliases,
        installed_version: package.full_version(),
        // An advisory that tells no status is fixed where it names a fix.
        status: if fixed_version.is_empty() { "affected" } else { "fixed" },
        fixed_version,
        severity: finding.severity,
        severity_source: String::new(),
        words: Words::Advisory { title: finding.title, published: finding.published },
    }
}
