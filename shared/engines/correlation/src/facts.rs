//! Scan facts by image digest: the table side of the stream-table join.

use std::collections::{BTreeSet, HashMap};

use model::{Digest, EventId, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::set::RuleSet;

/// What a scan found in one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScanFacts {
    /// Manifest digest.
    pub digest: Digest,
    /// Digest of the index that it was chosen from.
    pub index_digest: Option<Digest>,
    /// The scan's event.
    pub event: EventId,
    /// When it was scanned.
    pub time: Timestamp,
    /// Type of the event: `build.image.scanned`.
    pub event_type: String,
    /// Image reference.
    pub reference: String,
    /// Packages found.
    pub packages: u64,
    /// Whether something could not be read.
    pub partial: bool,
    /// All findings, also those that `findings` leaves out.
    pub total: u64,
    /// Worst findings first, at most [`ScanFacts::MAX_FINDINGS`].
    pub findings: Vec<ScannedFinding>,
    /// The scan in one line.
    pub summary: String,
}

/// One finding of a scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedFinding {
    /// Advisory id and its aliases.
    pub advisories: Vec<String>,
    /// Package name.
    pub package: String,
    /// Severity.
    pub severity: Severity,
    /// Whether a fixed version exists.
    pub fixable: bool,
}

impl ScanFacts {
    /// Most findings that are kept of one scan.
    pub const MAX_FINDINGS: usize = 64;

    /// One value per finding (one without, when there is none) with the names that rules use.
    pub(crate) fn for_tests(&self) -> Vec<serde_json::Value> {
        let image = serde_json::json!({
            "reference": self.reference, "packages": self.packages, "partial": self.partial, "findings": self.total,
        });
        let one = |finding: &ScannedFinding| {
            serde_json::json!({ "image": image, "finding": {
                "advisory": finding.advisories, "package": finding.package,
                "severity": finding.severity.as_str(), "fixable": finding.fixable,
            } })
        };
        if self.findings.is_empty() {
            return vec![serde_json::json!({ "image": image })];
        }
        self.findings.iter().take(Self::MAX_FINDINGS).map(one).collect()
    }

    pub(crate) fn key(&self) -> (Timestamp, EventId) {
        (self.time, self.event)
    }
}

/// The last three scans of each image, with the bits of the clauses that they satisfy under the rules in force.
#[derive(Debug, Default)]
pub(crate) struct FactsTable {
    by_digest: HashMap<Digest, Vec<(ScanFacts, u64)>>,
    by_time: BTreeSet<(Timestamp, Digest)>,
}

impl FactsTable {
    /// Adds a scan; `false` when it was known.
    pub(crate) fn insert(&mut self, rules: &RuleSet, facts: ScanFacts) -> bool {
        let bits = rules.clause_bits(&facts);
        let digests: Vec<Digest> =
            [Some(facts.digest.clone()), facts.index_digest.clone()].into_iter().flatten().collect();
        let mut is_new = false;
        for digest in digests {
            let scans = self.by_digest.entry(digest.clone()).or_default();
            if let Err(at) = scans.binary_search_by_key(&facts.key(), |(scan, _)| scan.key()) {
                if let Some((oldest, _)) = scans.first() {
                    self.by_time.remove(&(oldest.time, digest.clone()));
                }
                scans.insert(at, (facts.clone(), bits));
                if scans.len() > MAX_SCANS {
                    scans.remove(0);
                }
                if let Some((oldest, _)) = scans.first() {
                    self.by_time.insert((oldest.time, digest));
                }
                is_new = true;
            }
        }
        is_new
    }

    /// The scan of `digest` that was in force at `time`; the first one when none is that old, for a scan says what was true of the
    /// image all along.
    pub(crate) fn at(&self, digest: &Digest, time: Timestamp) -> Option<(&ScanFacts, u64)> {
        let scans = self.by_digest.get(digest)?;
        let after = scans.partition_point(|(scan, _)| scan.time <= time);
        scans.get(after.saturating_sub(1)).map(|(scan, bits)| (scan, *bits))
    }

    /// The newest scan of an image.
    pub(crate) fn newest(&self, digest: &Digest) -> Option<&ScanFacts> {
        self.by_digest.get(digest)?.last().map(|(scan, _)| scan)
    }

    /// All scans kept of an image.
    pub(crate) fn scans(&self, digest: &Digest) -> Vec<ScanFacts> {
        self.by_digest.get(digest).into_iter().flatten().map(|(scan, _)| scan.clone()).collect()
    }

    /// Forgets the image with the oldest scan when there are more than `max`.
    pub(crate) fn evict(&mut self, max: usize) -> Option<Digest> {
        if self.by_digest.len() <= max {
            return None;
        }
        let (_, digest) = self.by_time.pop_first()?;
        self.by_digest.remove(&digest);
        Some(digest)
    }
}

const MAX_SCANS: usize = 3;
