//! A project of Maven with what it inherits and what it needs: parents, managed versions, imported bills of material, exclusions,
//! modules, and the transitive dependencies as far as their projects can be read (Maven, "Introduction to the Dependency Mechanism").

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use crate::hash;
use crate::language::java::mirrors::Mirrors;
use crate::language::java::pom::{Dependency, Parent, Pom, RemoteRepository, evaluate, is_property};
use crate::language::java::settings::Settings;
use crate::outside::{Cache, Fetched, Outside};
use crate::package::{LineRange, Package, Relationship};
use crate::text::{ParseError, folder};
use crate::xml;

/// Reads the files of the folder that is scanned, by path.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// Resolves the project of `path`. Packages have ids that hold the path of their project, for modules may need the same thing in
/// different ways.
pub(crate) fn resolve(path: &str, files: ReadFile<'_>, outside: &dyn Outside) -> Result<Vec<Package>, ParseError> {
    let bytes = files(path).ok_or_else(|| ParseError::new("the project cannot be read"))?;
    let maven = outside.maven();
    let mut resolver = Resolver {
        files,
        outside,
        analyzed: HashMap::new(),
        pending: HashSet::new(),
        read: 0,
        repositories: maven.settings.effective_repositories(),
        mirrors: Mirrors::new(&maven.settings.mirrors, &maven.settings.servers, &maven.mirrors),
        settings: maven.settings,
        busy: None,
    };
    let root = resolver.analyze(Pom::parse(path, &bytes, true)?, &Wanted::of_root(path));
    let artifact = Artifact { relationship: Relationship::Root, ..root.artifact.clone() };
    resolver.analyzed.insert(artifact.key(), root);
    let mut modules = BTreeSet::new();
    let packages = resolver.tree(artifact, &mut modules, 0)?;
    match resolver.busy {
        // What could not be asked may be needed: the list would look complete, and is not.
        Some(busy) => Err(ParseError::new(busy)),
        None => Ok(packages),
    }
}

struct Resolver<'a> {
    files: ReadFile<'a>,
    outside: &'a dyn Outside,
    analyzed: HashMap<(String, String, String), Analyzed>,
    /// Projects that are being looked at: a bill of material can import itself, and each nests the calls deeper.
    pending: HashSet<(String, String, String)>,
    /// Projects read so far: a hostile repository must not lead on without end.
    read: usize,
    settings: Settings,
    /// Those of the settings.
    repositories: Vec<RemoteRepository>,
    mirrors: Mirrors,
    /// Why a repository, and all that stand for it, would not be asked more.
    busy: Option<String>,
}

/// One thing that is needed.
#[derive(Clone, Debug, Default)]
struct Artifact {
    group: String,
    artifact: String,
    version: Version,
    licenses: Vec<String>,
    exclusions: BTreeSet<(String, String)>,
    is_module: bool,
    relationship: Relationship,
    lines: Option<LineRange>,
    /// The project that all this is about.
    root: String,
    repositories: Vec<RemoteRepository>,
}

impl Artifact {
    fn name(&self) -> String {
        format!("{}:{}", self.group, self.artifact)
    }

    fn key(&self) -> (String, String, String) {
        (self.root.clone(), self.name(), self.version.text.clone())
    }
}

/// `1.0` is a wish, `[1.0]` a demand; other ranges are not resolved.
#[derive(Clone, Debug, Default)]
struct Version {
    text: String,
    is_hard: bool,
}

impl Version {
    fn new(text: &str) -> Self {
        let exact = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let bare = exact.map_or(text, |exact| exact.trim_matches(['[', ']']));
        let text = if bare.contains([',', '(', ')', '[', ']']) { "" } else { bare };
        Self { text: text.to_owned(), is_hard: exact.is_some() }
    }
}

/// A project with everything inherited and its dependencies filtered.
#[derive(Clone, Debug, Default)]
struct Analyzed {
    path: String,
    artifact: Artifact,
    dependencies: Vec<Artifact>,
    managed: Vec<Dependency>,
    properties: BTreeMap<String, String>,
    modules: Vec<String>,
}

/// How a project is looked at.
#[derive(Clone, Debug, Default)]
struct Wanted {
    exclusions: BTreeSet<(String, String)>,
    /// Managed by the root: it goes before what the project says.
    managed: Vec<Dependency>,
    root: String,
    repositories: Vec<RemoteRepository>,
}

impl Wanted {
    fn of_root(path: &str) -> Self {
        Self { root: path.to_owned(), ..Self::default() }
    }
}

/// What was settled on for one name.
struct Settled {
    version: Version,
    licenses: Vec<String>,
    relationship: Relationship,
    lines: Option<LineRange>,
    needs: Vec<String>,
}

impl Resolver<'_> {
    /// The packages of one project; those of its modules come first.
    fn tree(
        &mut self,
        root: Artifact,
        modules: &mut BTreeSet<String>,
        depth: usize,
    ) -> Result<Vec<Package>, ParseError> {
        let root_path = root.root.clone();
        let inherited = root.repositories.clone();
        let mut queue = VecDeque::from([Artifact { is_module: false, ..root }]);
        let mut settled: BTreeMap<String, Settled> = BTreeMap::new();
        let mut managed: Vec<Dependency> = Vec::new();
        let mut packages = Vec::new();
        while let Some(mut one) = queue.pop_front() {
            if one.is_module {
                if depth < MAX_MODULE_DEPTH && modules.insert(id(&one.name(), &one.version.text, &one.root)) {
                    packages.extend(self.tree(one, modules, depth.saturating_add(1))?);
                }
                continue;
            }
            let name = one.name();
            if let Some(known) = settled.get(&name) {
                if known.version.is_hard || !one.version.is_hard {
                    continue;
                }
                if matches!(known.relationship, Relationship::Root | Relationship::Workspace | Relationship::Direct) {
                    one.relationship = known.relationship;
                }
                one.lines = known.lines.or(one.lines);
            }
            let mut analyzed = self.find(&one, &managed);
            if matches!(one.relationship, Relationship::Root | Relationship::Workspace) {
                // What the root manages holds for everything below it.
                managed = self.resolve_managed(&analyzed.properties, &analyzed.managed, 0);
                for dependency in &mut analyzed.dependencies {
                    dependency.relationship = Relationship::Direct;
                }
            }
            for module in &analyzed.modules {
                queue.extend(self.module(&analyzed.path, module, &inherited));
            }
            if settled.len().saturating_add(queue.len()) > MAX_ARTIFACTS {
                return Err(ParseError::new(format!("the project needs more than {MAX_ARTIFACTS} artifacts")));
            }
            queue.extend(analyzed.dependencies.iter().cloned());
            if !one.group.is_empty() && !one.artifact.is_empty() {
                let needs = analyzed.dependencies.iter().map(Artifact::name).collect();
                let (version, relationship, lines) = (one.version, one.relationship, one.lines);
                let licenses = analyzed.artifact.licenses;
                settled.insert(name, Settled { version, licenses, relationship, lines, needs });
            }
        }
        packages.extend(listed(&settled, &root_path, modules));
        Ok(packages)
    }

    fn module(&mut self, current: &str, relative: &str, repositories: &[RemoteRepository]) -> Option<Artifact> {
        let module = self.open_relative(current, relative)?;
        let wanted = Wanted { repositories: repositories.to_vec(), ..Wanted::of_root(&module.path) };
        let analyzed = self.analyze(module, &wanted);
        let artifact = Artifact { is_module: true, relationship: Relationship::Workspace, ..analyzed.artifact.clone() };
        self.analyzed.insert(artifact.key(), analyzed);
        Some(artifact)
    }

    fn find(&mut self, one: &Artifact, managed: &[Dependency]) -> Analyzed {
        if let Some(known) = self.analyzed.get(&one.key()) {
            return known.clone();
        }
        if one.version.text.is_empty() {
            return Analyzed { artifact: one.clone(), ..Analyzed::default() };
        }
        if self.pending.len() >= MAX_IMPORT_DEPTH || self.pending.contains(&one.key()) {
            return Analyzed::default();
        }
        let Some(pom) = self.of_repository(&one.group, &one.artifact, &one.version.text, &one.repositories) else {
            return Analyzed::default();
        };
        let wanted = Wanted {
            exclusions: one.exclusions.clone(),
            managed: managed.to_vec(),
            root: one.root.clone(),
            repositories: one.repositories.clone(),
        };
        self.pending.insert(one.key());
        let analyzed = self.analyze(pom, &wanted);
        self.pending.remove(&one.key());
        self.analyzed.insert(one.key(), analyzed.clone());
        analyzed
    }

    fn analyze(&mut self, mut pom: Pom, wanted: &Wanted) -> Analyzed {
        let mut repositories = pom.repositories.clone();
        repositories.extend(wanted.repositories.iter().cloned());
        let mut known = HashSet::new();
        repositories.retain(|one| known.insert(one.address.clone()));
        self.inherit(&mut pom, &repositories, 0);
        let properties = pom.all_properties();
        let dependencies = self.dependencies(&pom, &properties, wanted, &repositories);
        let mut artifact = self.artifact(&pom);
        artifact.root.clone_from(&wanted.root);
        artifact.repositories = repositories;
        Analyzed { path: pom.path, artifact, dependencies, managed: pom.managed, properties, modules: pom.modules }
    }

    fn artifact(&self, pom: &Pom) -> Artifact {
        let text = |text: &str| self.evaluate(text, &pom.properties);
        Artifact {
            group: text(&pom.group),
            artifact: text(&pom.artifact),
            version: Version::new(&text(&pom.version)),
            licenses: pom.licenses.clone(),
            relationship: Relationship::Indirect,
            ..Artifact::default()
        }
    }

    fn evaluate(&self, text: &str, properties: &BTreeMap<String, String>) -> String {
        evaluate(text, properties, &|name| self.outside.variable(name))
    }

    fn dependencies(
        &mut self,
        pom: &Pom,
        properties: &BTreeMap<String, String>,
        wanted: &Wanted,
        repositories: &[RemoteRepository],
    ) -> Vec<Artifact> {
        if pom.dependencies.is_empty() {
            return Vec::new();
        }
        let managed = self.resolve_managed(properties, &pom.managed, 0);
        let (managed, of_root) = (by_name(&managed), by_name(&wanted.managed));
        let mut found = Vec::new();
        for dependency in &pom.dependencies {
            let one = self.settle(dependency, properties, Some((&managed, &of_root)));
            let is_used = matches!(one.scope.as_str(), "" | "compile" | "runtime") && !one.optional;
            let is_excluded = wanted.exclusions.iter().any(|(group, artifact)| {
                (group == "*" || *group == one.group) && (artifact == "*" || *artifact == one.artifact)
            });
            if !is_used || is_excluded {
                continue;
            }
            let mut exclusions = wanted.exclusions.clone();
            exclusions.extend(one.exclusions);
            found.push(Artifact {
                version: Version::new(&one.version),
                group: one.group,
                artifact: one.artifact,
                licenses: Vec::new(),
                exclusions,
                is_module: false,
                relationship: Relationship::Indirect,
                lines: one.lines,
                root: wanted.root.clone(),
                repositories: repositories.to_vec(),
            });
        }
        found
    }

    /// Values put in; what is empty is filled from what the project manages; what the root manages replaces it, but never makes a test
    /// dependency anything else.
    fn settle(
        &self,
        dependency: &Dependency,
        properties: &BTreeMap<String, String>,
        managed: Option<(&ByName<'_>, &ByName<'_>)>,
    ) -> Dependency {
        let text = |text: &str| self.evaluate(text, properties);
        let mut one = Dependency {
            group: text(&dependency.group),
            artifact: text(&dependency.artifact),
            version: text(&dependency.version),
            scope: text(&dependency.scope),
            ..dependency.clone()
        };
        let Some((own, of_root)) = managed else { return one };
        let name = (one.group.clone(), one.artifact.clone());
        if let Some(known) = own.get(&name) {
            if one.version.is_empty() {
                one.version = text(&known.version);
            }
            if one.scope.is_empty() {
                one.scope = text(&known.scope);
            }
            one.optional |= known.optional;
            one.exclusions.extend(known.exclusions.iter().cloned());
        }
        if let Some(known) = of_root.get(&name) {
            if !known.version.is_empty() {
                one.version = text(&known.version);
            }
            if !known.scope.is_empty() && one.scope != "test" {
                one.scope = text(&known.scope);
            }
            one.optional |= known.optional;
            one.exclusions.extend(known.exclusions.iter().cloned());
        }
        one
    }

    /// Managed dependencies with their values; bills of material that are imported come behind, and never replace what stands there.
    fn resolve_managed(
        &mut self,
        properties: &BTreeMap<String, String>,
        managed: &[Dependency],
        depth: usize,
    ) -> Vec<Dependency> {
        let (imports, plain): (Vec<&Dependency>, Vec<&Dependency>) =
            managed.iter().partition(|one| one.scope == "import");
        let mut found: Vec<Dependency> = plain.iter().map(|one| self.settle(one, properties, None)).collect();
        if depth >= MAX_IMPORT_DEPTH {
            return found;
        }
        for import in imports {
            let one = Artifact {
                group: self.evaluate(&import.group, properties),
                artifact: self.evaluate(&import.artifact, properties),
                version: Version::new(&self.evaluate(&import.version, properties)),
                ..Artifact::default()
            };
            let imported = self.find(&one, &[]);
            let mut values = properties.clone();
            values.extend(imported.properties);
            let more = self.resolve_managed(&values, &imported.managed, depth.saturating_add(1));
            found = merge(found, more);
        }
        found
    }

    /// Fills in what the parents say.
    fn inherit(&mut self, pom: &mut Pom, repositories: &[RemoteRepository], depth: usize) {
        let Some(parent) = self.parent(pom, repositories, depth) else {
            // Of what a project says twice the first counts, with or without a parent.
            pom.managed = merge(std::mem::take(&mut pom.managed), Vec::new());
            pom.dependencies = merge(std::mem::take(&mut pom.dependencies), Vec::new());
            return;
        };
        let mut properties = parent.all_properties();
        properties.extend(std::mem::take(&mut pom.properties));
        pom.properties = properties;
        let (own, above) = (self.artifact(pom), self.artifact(&parent));
        pom.group = if own.group.is_empty() { above.group } else { own.group };
        pom.artifact = own.artifact;
        let version = if own.version.text.is_empty() { above.version.text } else { own.version.text };
        pom.version = if is_property(&version) { self.evaluate(&version, &pom.properties) } else { version };
        if pom.licenses.is_empty() {
            pom.licenses = parent.licenses;
        }
        pom.managed = merge(std::mem::take(&mut pom.managed), parent.managed);
        pom.dependencies = merge(std::mem::take(&mut pom.dependencies), parent.dependencies);
    }

    fn parent(&mut self, pom: &Pom, repositories: &[RemoteRepository], depth: usize) -> Option<Pom> {
        let Parent { group, artifact, version, relative_path } = &pom.parent;
        if group.is_empty() || artifact.is_empty() || depth >= MAX_PARENTS {
            return None;
        }
        for relative in [relative_path.as_str(), "../pom.xml"].into_iter().filter(|relative| !relative.is_empty()) {
            let Some(mut found) = self.open_relative(&pom.path, relative).filter(|_| !pom.path.is_empty()) else {
                continue;
            };
            // The folder above need not be the parent.
            if self.artifact(&found).artifact != *artifact {
                continue;
            }
            self.inherit(&mut found, repositories, depth.saturating_add(1));
            return Some(found);
        }
        let mut found = self.of_repository(group, artifact, version, repositories)?;
        self.inherit(&mut found, repositories, depth.saturating_add(1));
        Some(found)
    }

    /// A path from the folder of a project; a folder means the `pom.xml` in it.
    fn open_relative(&mut self, current: &str, relative: &str) -> Option<Pom> {
        let mut segments: Vec<&str> = folder(current).split('/').filter(|segment| !segment.is_empty()).collect();
        for segment in relative.split('/').filter(|segment| !matches!(*segment, "" | ".")) {
            match segment {
                ".." => drop(segments.pop()?),
                segment => segments.push(segment),
            }
        }
        let path = segments.join("/");
        let within = if path.is_empty() { "pom.xml".to_owned() } else { format!("{path}/pom.xml") };
        [path, within].into_iter().filter(|path| !path.is_empty()).find_map(|path| {
            let bytes = (self.files)(&path)?;
            self.count()?;
            Pom::parse(&path, &bytes, false).ok()
        })
    }

    fn count(&mut self) -> Option<()> {
        self.read = self.read.saturating_add(1);
        (self.read <= MAX_PROJECTS).then_some(())
    }

    fn of_repository(
        &mut self,
        group: &str,
        artifact: &str,
        version: &str,
        repositories: &[RemoteRepository],
    ) -> Option<Pom> {
        let is_safe = |text: &str| !text.is_empty() && !text.contains(['/', '\\', '\0']) && text != "..";
        if ![group, artifact, version].into_iter().all(is_safe) {
            return None;
        }
        self.count()?;
        let home = format!("{}/{artifact}/{version}", group.replace('.', "/"));
        let path = format!("{home}/{artifact}-{version}.pom");
        if let Some(found) = self.outside.read(Cache::MavenLocal, &path) {
            return Pom::parse("", &found, false).ok();
        }
        let is_snapshot = version.ends_with("SNAPSHOT") || version == "LATEST";
        let central = RemoteRepository {
            id: "central".to_owned(),
            address: CENTRAL.to_owned(),
            releases: true,
            snapshots: false,
        };
        let own: Vec<RemoteRepository> = repositories.iter().map(|one| self.settings.with_credentials(one)).collect();
        let serving: Vec<RemoteRepository> = self
            .repositories
            .iter()
            .chain(&own)
            .chain([&central])
            .filter(|one| if is_snapshot { one.snapshots } else { one.releases })
            .cloned()
            .collect();
        serving.iter().find_map(|one| self.of_mirrors(one, (&home, &path), is_snapshot.then_some(artifact)))
    }

    /// A project from a repository, or from what stands for it: the first that has it.
    fn of_mirrors(
        &mut self,
        repository: &RemoteRepository,
        (home, path): (&str, &str),
        snapshot_of: Option<&str>,
    ) -> Option<Pom> {
        let (mut busy, mut is_absent) = (None, false);
        for one in self.mirrors.in_place_of(repository) {
            let stamped = snapshot_of.and_then(|artifact| {
                let metadata = self.outside.fetch(&one.address, &format!("{home}/maven-metadata.xml"));
                let Fetched::Found(bytes) = metadata else { return None };
                Some(format!("{home}/{artifact}-{}.pom", snapshot_version(&bytes)?))
            });
            match self.outside.fetch(&one.address, stamped.as_deref().unwrap_or(path)) {
                Fetched::Found(bytes) => return Pom::parse("", &bytes, false).ok(),
                Fetched::Absent => is_absent = true,
                Fetched::Busy(why) => busy = Some(why),
            }
        }
        if self.busy.is_none() && !is_absent {
            self.busy = busy;
        }
        None
    }
}

/// The version with a time stamp that `maven-metadata.xml` names for the project of a snapshot.
fn snapshot_version(bytes: &[u8]) -> Option<String> {
    let metadata = xml::parse(bytes).ok()?;
    let versions = metadata.child("versioning").child("snapshotVersions");
    let of_project = versions.all("snapshotVersion").filter(|one| one.field("extension") == "pom");
    of_project.map(|one| one.field("value").to_owned()).last().filter(|value| !value.is_empty())
}

type ByName<'a> = HashMap<(String, String), &'a Dependency>;

fn by_name(dependencies: &[Dependency]) -> ByName<'_> {
    let mut map = HashMap::new();
    for one in dependencies {
        map.entry((one.group.clone(), one.artifact.clone())).or_insert(one);
    }
    map
}

/// Both lists; the first wins where a name stands twice.
fn merge(first: Vec<Dependency>, second: Vec<Dependency>) -> Vec<Dependency> {
    let mut known = HashSet::new();
    first.into_iter().chain(second).filter(|one| known.insert((one.group.clone(), one.artifact.clone()))).collect()
}

fn listed(settled: &BTreeMap<String, Settled>, root: &str, modules: &BTreeSet<String>) -> Vec<Package> {
    let package = |(name, one): (&String, &Settled)| {
        let known = |need: &String| {
            let version = &settled.get(need)?.version.text;
            (!version.is_empty()).then(|| id(need, version, root))
        };
        let mut depends_on: Vec<String> = one.needs.iter().filter_map(known).collect();
        if one.relationship == Relationship::Root {
            depends_on.extend(modules.iter().cloned());
        }
        depends_on.sort();
        depends_on.dedup();
        Package {
            id: id(name, &one.version.text, root),
            name: name.clone(),
            version: one.version.text.clone(),
            licenses: one.licenses.clone(),
            relationship: one.relationship,
            locations: one.lines.into_iter().collect(),
            depends_on,
            ..Package::default()
        }
    };
    settled.iter().map(package).collect()
}

/// `group:artifact:version::hash`; the hash is of the coordinates and the path of the project, in the form that upstream's reports have.
pub(crate) fn id(name: &str, version: &str, path: &str) -> String {
    let coordinates = if version.is_empty() { name.to_owned() } else { format!("{name}:{version}") };
    let pair = |key: &str, value: &str| hash::ordered(hash::fnv(key.as_bytes()), hash::fnv(value.as_bytes()));
    let sum = pair("gav", &coordinates) ^ pair("path", path);
    let hash = format!("{:x}", hash::closed(sum));
    format!("{coordinates}::{}", hash.get(..8).unwrap_or(&hash))
}

/// The repository that every project may use.
const CENTRAL: &str = "https://repo.maven.apache.org/maven2";
const MAX_PARENTS: usize = 32;
const MAX_IMPORT_DEPTH: usize = 16;
const MAX_MODULE_DEPTH: usize = 32;
const MAX_PROJECTS: usize = 8_000;
const MAX_ARTIFACTS: usize = 100_000;
