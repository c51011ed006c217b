//! Java archives that do not say what they are, by the Java index of a vulnerability database: it knows the archives of public
//! repositories by their SHA-1.
//!
//! ```text
//! trivy-java.db (SQLite) --write--> one file --JarIndex::open--> identify(ImageInventory)
//! ```
//!
//! The file is made once and read where it lies, such as in mapped memory. All numbers are little-endian:
//!
//! ```text
//! magic          8 bytes
//! archives       SHA-1, artifact u32, version u32                         sorted by SHA-1
//! artifacts      group, name, first version, versions, archives: 5 x u32  sorted by name, then group
//! versions       of each artifact's `jar` archives, u32
//! strings, ends  every text once; where each ends, u32
//! trailer        place and length of each part, length of the file, magic
//! ```

mod write;

use crate::found::{Application, UnidentifiedArchive};
use crate::image::ImageInventory;
use crate::package::{ApplicationKind, Package};
use crate::purl;

pub use write::write;

/// An open index.
#[derive(Debug)]
pub struct JarIndex<B> {
    bytes: B,
    parts: [(usize, usize); PARTS],
}

/// A file is no such index, or was not written to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an index of Java archives, or one that was not written to its end")]
pub struct NoIndex;

/// Group, artifact and version of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinates {
    /// Group.
    pub group: String,
    /// Artifact.
    pub artifact: String,
    /// Version.
    pub version: String,
}

impl<B: AsRef<[u8]>> JarIndex<B> {
    /// Opens an index. Reads its trailer only.
    ///
    /// # Errors
    /// When the bytes are not those of a whole index.
    pub fn open(bytes: B) -> Result<Self, NoIndex> {
        let all = bytes.as_ref();
        let start = all.len().checked_sub(TRAILER).ok_or(NoIndex)?;
        let (body, trailer) = all.split_at_checked(start).ok_or(NoIndex)?;
        let is_whole = number64(trailer, PARTS * 16) == Some(all.len() as u64);
        if !is_whole || body.get(..8) != Some(MAGIC) || trailer.get(TRAILER - 8..) != Some(MAGIC) {
            return Err(NoIndex);
        }
        let mut parts = [(0, 0); PARTS];
        for (place, part) in parts.iter_mut().enumerate() {
            let number = |at| number64(trailer, at).and_then(|number| usize::try_from(number).ok());
            *part = number(place * 16).zip(number(place * 16 + 8)).ok_or(NoIndex)?;
        }
        Ok(Self { bytes, parts })
    }

    /// How many archives it knows.
    #[must_use]
    pub fn archives(&self) -> usize {
        self.part(ARCHIVES).len() / ARCHIVE
    }

    /// The archive with a SHA-1, in hex.
    #[must_use]
    pub fn by_sha1(&self, sha1: &str) -> Option<Coordinates> {
        let wanted = bytes_of_hex(sha1)?;
        let archives = self.part(ARCHIVES);
        let record = |place: usize| archives.get(place * ARCHIVE..(place + 1) * ARCHIVE);
        let place = partition_point(archives.len() / ARCHIVE, |place| {
            record(place).and_then(|record| record.get(..SHA1)).is_some_and(|sha1| sha1 < wanted.as_slice())
        });
        let record = record(place).filter(|record| record.get(..SHA1) == Some(wanted.as_slice()))?;
        let artifact = usize::try_from(number32(record, SHA1)?).ok()?;
        Some(Coordinates {
            group: self.field(artifact, 0)?.to_owned(),
            artifact: self.field(artifact, 1)?.to_owned(),
            version: self.string(number32(record, SHA1 + 4)?)?.to_owned(),
        })
    }

    /// Whether there are archives of an artifact.
    #[must_use]
    pub fn exists(&self, group: &str, artifact: &str) -> bool {
        let has_archives = |place: &usize| self.record(*place, 4).is_some_and(|count| count > 0);
        self.named(artifact).filter(has_archives).any(|place| self.field(place, 0) == Some(group))
    }

    /// The group that most likely has an artifact in a version: of several, the one with the most archives of it.
    #[must_use]
    pub fn group_of(&self, artifact: &str, version: &str) -> Option<&str> {
        let with_version = self.named(artifact).filter(|place| self.has_version(*place, version));
        // Of as many, the first.
        let best = with_version.map(|place| (place, self.record(place, 4).unwrap_or(0)));
        let (place, _) = best.reduce(|best, one| if one.1 > best.1 { one } else { best })?;
        self.field(place, 0)
    }

    /// The places of the artifacts of one name.
    fn named<'a>(&'a self, artifact: &'a str) -> impl Iterator<Item = usize> + 'a {
        let count = self.part(ARTIFACTS).len() / ARTIFACT;
        let name = |place| self.field(place, 1).map(str::as_bytes);
        let first = partition_point(count, |place| name(place).is_some_and(|name| name < artifact.as_bytes()));
        (first..count).take_while(move |place| self.field(*place, 1) == Some(artifact))
    }

    fn has_version(&self, place: usize, version: &str) -> bool {
        let range = || {
            let first = usize::try_from(self.record(place, 2)?).ok()?;
            let count = usize::try_from(self.record(place, 3)?).ok()?;
            self.part(VERSIONS).get(first.checked_mul(4)?..first.checked_add(count)?.checked_mul(4)?)
        };
        let versions = range().unwrap_or_default().chunks_exact(4).filter_map(|bytes| number32(bytes, 0));
        versions.filter_map(|id| self.string(id)).any(|known| known == version)
    }

    fn record(&self, place: usize, field: usize) -> Option<u32> {
        number32(self.part(ARTIFACTS), place.checked_mul(ARTIFACT)?.checked_add(field * 4)?)
    }

    fn field(&self, place: usize, field: usize) -> Option<&str> {
        self.string(self.record(place, field)?)
    }

    fn string(&self, id: u32) -> Option<&str> {
        let at = usize::try_from(id).ok()?.checked_mul(4)?;
        let ends = self.part(ENDS);
        let start = if at == 0 { 0 } else { number32(ends, at.checked_sub(4)?)? };
        let end = number32(ends, at)?;
        let text = self.part(STRINGS).get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
        std::str::from_utf8(text).ok()
    }

    fn part(&self, part: usize) -> &[u8] {
        let (start, length) = self.parts.get(part).copied().unwrap_or_default();
        start.checked_add(length).and_then(|end| self.bytes.as_ref().get(start..end)).unwrap_or_default()
    }
}

/// Gives the archives that do not say what they are the names that the index knows them by: what a manifest says counts when there is
/// such an artifact, then the SHA-1, then the name of the file. A word of a manifest that nothing confirms is taken back. Asking again,
/// with this index or another, is as good as asking once.
pub fn identify<B: AsRef<[u8]>>(image: &mut ImageInventory, index: &JarIndex<B>) {
    let mut archives = std::mem::take(&mut image.unidentified);
    for archive in &mut archives {
        let found = identity(archive, index);
        let before = match archive.identity.take() {
            Some((name, _)) if name.is_empty() => None,
            Some(known) => Some(known),
            None => archive.stated.clone(),
        };
        if found != before {
            replace(image, archive, (before.as_ref(), found.as_ref()));
        }
        archive.identity = Some(found.unwrap_or_default());
    }
    image.applications.retain(|one| one.kind != ApplicationKind::Jar || !one.packages.is_empty());
    image.unidentified = archives;
}

/// Name (`group:artifact`) and version.
type Identity = (String, String);

fn identity<B: AsRef<[u8]>>(archive: &UnidentifiedArchive, index: &JarIndex<B>) -> Option<Identity> {
    let is_real =
        |(name, _): &&Identity| name.split_once(':').is_some_and(|(group, artifact)| index.exists(group, artifact));
    if let Some(stated) = archive.manifest.as_ref().filter(is_real) {
        return Some(stated.clone());
    }
    if let Some(found) = index.by_sha1(&archive.sha1) {
        return Some((format!("{}:{}", found.group, found.artifact), found.version));
    }
    let group = index.group_of(&archive.artifact, &archive.version)?;
    Some((format!("{group}:{}", archive.artifact), archive.version.clone()))
}

fn replace(
    image: &mut ImageInventory,
    archive: &UnidentifiedArchive,
    (before, found): (Option<&Identity>, Option<&Identity>),
) {
    let is_in = |one: &Application| {
        let rest = archive.file_path.strip_prefix(&one.file_path);
        one.kind == ApplicationKind::Jar && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let place = image.applications.iter().position(is_in);
    if let (Some(application), Some((name, version))) =
        (place.and_then(|place| image.applications.get_mut(place)), before)
    {
        let is_guess =
            |one: &Package| one.file_path == archive.file_path && one.name == *name && one.version == *version;
        application.packages.retain(|one| !is_guess(one));
    }
    let Some((name, version)) = found else { return };
    let mut package = Package {
        name: name.clone(),
        version: version.clone(),
        file_path: archive.file_path.clone(),
        layer: archive.layer.clone(),
        licenses: archive.licenses.clone(),
        digest: archive.digest.clone(),
        ..Package::default()
    };
    package.purl = purl::language(&package, ApplicationKind::Jar);
    match place.and_then(|place| image.applications.get_mut(place)) {
        Some(application) => {
            let is_beside = |one: &&Package| one.file_path == package.file_path;
            // Licences of an archive are those of its one package.
            if application.packages.iter().any(|one| is_beside(&one)) {
                package.licenses.clear();
            }
            let is_same = |one: &Package| one.name == package.name && one.version == package.version;
            if !application.packages.iter().filter(is_beside).any(is_same) {
                application.packages.push(package);
            }
        }
        None => {
            let file_path = archive.outer.clone();
            image.applications.push(Application { kind: ApplicationKind::Jar, file_path, packages: vec![package] });
            image.applications.sort_by(|a, b| (&a.file_path, a.kind).cmp(&(&b.file_path, b.kind)));
        }
    }
}

/// The first place for which `is_before` does not hold.
fn partition_point(count: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn bytes_of_hex(hex: &str) -> Option<[u8; SHA1]> {
    let mut bytes = [0; SHA1];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    (hex.len() == SHA1 * 2).then_some(bytes)
}

fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn number64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

const MAGIC: &[u8] = b"BIOTJAR1";
const PARTS: usize = 5;
const TRAILER: usize = PARTS * 16 + 16;
const ARCHIVES: usize = 0;
const ARTIFACTS: usize = 1;
const VERSIONS: usize = 2;
const STRINGS: usize = 3;
const ENDS: usize = 4;
const SHA1: usize = 20;
const ARCHIVE: usize = SHA1 + 8;
const ARTIFACT: usize = 20;
