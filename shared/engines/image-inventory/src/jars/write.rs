//! Makes an index of Java archives from Trivy's Java database.

use std::collections::HashMap;
use std::io::{self, Write};

use super::{MAGIC, SHA1};
use crate::sqlite::{Column, Sqlite};
use crate::text::ParseError;

/// Writes the index of `database`, the bytes of `trivy-java.db`. The table of archives is read several times, so that no more than
/// about 100 MiB of it are held at a time. Returns how many archives there are.
///
/// # Errors
/// When the database is broken (then of the kind `InvalidData`) or the index cannot be written.
pub fn write(database: &[u8], out: &mut dyn Write) -> io::Result<usize> {
    let file = Sqlite::open(database).map_err(invalid)?;
    let (artifacts, archives) = (table(&file, "artifacts")?, table(&file, "indices")?);
    let mut strings = Strings::default();
    let mut names: Vec<Artifact> = Vec::new();
    file.each(artifacts, &mut |key, columns| {
        let mut text = |place: usize| strings.id(columns.get(place).map(Column::bytes).unwrap_or_default());
        names.push(Artifact { key, group: text(1), name: text(2), versions: Vec::new(), archives: 0 });
        Ok(())
    })
    .map_err(invalid)?;
    names.sort_by(|a, b| {
        (strings.text(a.name), strings.text(a.group)).cmp(&(strings.text(b.name), strings.text(b.group)))
    });
    let mut places: HashMap<u64, usize> = HashMap::with_capacity(names.len());
    places.extend(names.iter().enumerate().map(|(place, one)| (one.key, place)));
    let mut count = 0_usize;
    file.each(archives, &mut |_, columns| {
        let Some(row) = Row::of(columns, &places) else { return Ok(()) };
        let version = strings.id(row.version);
        if let Some(artifact) = names.get_mut(row.artifact) {
            artifact.archives = artifact.archives.saturating_add(1);
            artifact.versions.extend((row.kind == b"jar").then_some(version));
        }
        count = count.saturating_add(1);
        Ok(())
    })
    .map_err(invalid)?;
    let mut parts = Parts { out, position: 0, places: Vec::new() };
    parts.out.write_all(MAGIC)?;
    parts.position = MAGIC.len() as u64;
    parts.archives((&file, archives), &places, (&strings, count))?;
    parts.artifacts(&names)?;
    parts.add(&strings.bytes)?;
    parts.add(&strings.ends)?;
    parts.finish().map(|()| count)
}

fn table(file: &Sqlite<'_>, name: &str) -> io::Result<usize> {
    file.table(name).map_err(invalid)
}

fn invalid(error: ParseError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

struct Artifact {
    key: u64,
    group: u32,
    name: u32,
    versions: Vec<u32>,
    archives: u32,
}

/// One row of `indices`: artifact_id, version, sha1, archive_type.
struct Row<'a> {
    artifact: usize,
    version: &'a [u8],
    sha1: &'a [u8],
    kind: &'a [u8],
}

impl<'a> Row<'a> {
    /// `None` for rows of no artifact or without a SHA-1: nobody could ask for them.
    fn of(columns: &'a [Column<'_>], places: &HashMap<u64, usize>) -> Option<Self> {
        let [artifact, version, sha1, kind, ..] = columns else { return None };
        let artifact = *places.get(&u64::try_from(artifact.number()?).ok()?)?;
        let row = Self { artifact, version: version.bytes(), sha1: sha1.bytes(), kind: kind.bytes() };
        (row.sha1.len() == SHA1).then_some(row)
    }
}

/// Every text once.
#[derive(Default)]
struct Strings {
    ids: HashMap<Box<[u8]>, u32>,
    bytes: Vec<u8>,
    ends: Vec<u8>,
}

impl Strings {
    fn id(&mut self, text: &[u8]) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(text);
        self.ends.extend_from_slice(&u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.ids.insert(text.into(), id);
        id
    }

    fn text(&self, id: u32) -> &[u8] {
        let end = |id: u32| {
            let at = usize::try_from(id).ok()?.checked_mul(4)?;
            usize::try_from(super::number32(&self.ends, at)?).ok()
        };
        let start = if id == 0 { Some(0) } else { end(id.saturating_sub(1)) };
        start.zip(end(id)).and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or_default()
    }
}

struct Parts<'w> {
    out: &'w mut dyn Write,
    position: u64,
    places: Vec<u8>,
}

impl Parts<'_> {
    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let start = self.position;
        self.write(bytes)?;
        self.begun_at(start);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position = self.position.saturating_add(bytes.len() as u64);
        self.out.write_all(bytes)
    }

    fn begun_at(&mut self, start: u64) {
        self.places.extend_from_slice(&start.to_le_bytes());
        self.places.extend_from_slice(&self.position.saturating_sub(start).to_le_bytes());
    }

    /// A slice of the archives at a time, by the beginning of their SHA-1, each sorted by itself.
    fn archives(
        &mut self,
        (file, root): (&Sqlite<'_>, usize),
        places: &HashMap<u64, usize>,
        (strings, count): (&Strings, usize),
    ) -> io::Result<()> {
        let slices = count.checked_div(MOST_HELD).unwrap_or(0).saturating_add(1).min(256);
        let start = self.position;
        for slice in 0..slices {
            let mut held: Vec<([u8; SHA1], u32, u32)> = Vec::new();
            file.each(root, &mut |_, columns| {
                let Some(row) = Row::of(columns, places) else { return Ok(()) };
                let Some(sha1) = row.sha1.first_chunk::<SHA1>() else { return Ok(()) };
                let [first, ..] = *sha1;
                if usize::from(first) * slices / 256 == slice {
                    let version = strings.ids.get(row.version).copied().unwrap_or(u32::MAX);
                    held.push((*sha1, u32::try_from(row.artifact).unwrap_or(u32::MAX), version));
                }
                Ok(())
            })
            .map_err(invalid)?;
            held.sort_unstable();
            let mut bytes = Vec::with_capacity(held.len().saturating_mul(super::ARCHIVE));
            for (sha1, artifact, version) in held {
                bytes.extend_from_slice(&sha1);
                bytes.extend_from_slice(&artifact.to_le_bytes());
                bytes.extend_from_slice(&version.to_le_bytes());
            }
            self.write(&bytes)?;
        }
        self.begun_at(start);
        Ok(())
    }

    fn artifacts(&mut self, names: &[Artifact]) -> io::Result<()> {
        let (mut records, mut versions) = (Vec::new(), Vec::new());
        for one in names {
            let first = u32::try_from(versions.len() / 4).unwrap_or(u32::MAX);
            let count = u32::try_from(one.versions.len()).unwrap_or(u32::MAX);
            for number in [one.group, one.name, first, count, one.archives] {
                records.extend_from_slice(&number.to_le_bytes());
            }
            one.versions.iter().for_each(|version| versions.extend_from_slice(&version.to_le_bytes()));
        }
        self.add(&records)?;
        self.add(&versions)
    }

    fn finish(mut self) -> io::Result<()> {
        let length = self.position.saturating_add(super::TRAILER as u64);
        let mut trailer = std::mem::take(&mut self.places);
        trailer.extend_from_slice(&length.to_le_bytes());
        trailer.extend_from_slice(MAGIC);
        self.write(&trailer)?;
        self.out.flush()
    }
}

/// Archives that are held at a time while they are sorted.
const MOST_HELD: usize = 3_000_000;
