//! Reports as events and replies.

use model::{Identity, Timestamp};
use schemas::Token;
use schemas::ask::{AskError, ScanReply};
use schemas::build::v1::{FindingsChanged, ImageScanned, MAX_FINDINGS, OperatingSystem, ScanFailed, SeverityCounts};

use crate::error::ScanError;
use crate::scan::Report;
use crate::source_hash;

/// `build.image.scanned`.
pub(crate) fn scanned(report: &Report, time: Timestamp) -> bus::Outgoing<ImageScanned> {
    let findings: Vec<_> = report.findings.iter().take(MAX_FINDINGS).map(|one| one.finding.clone()).collect();
    let omitted = report.findings.len().saturating_sub(findings.len()) as u64;
    let data = ImageScanned {
        image: report.image.clone(),
        digest: report.digest.clone(),
        operating_system: report
            .inventory
            .operating_system
            .as_ref()
            .map(|system| OperatingSystem { family: system.family.clone(), release: system.release.clone() }),
        packages: report.packages(),
        findings,
        findings_omitted: omitted,
        counts: SeverityCounts::of(&report.wire_findings()),
        database: report.database.clone(),
        partial: report.partial,
        faults: report.faults.iter().take(MAX_FAULTS).map(|fault| shortened(&fault.to_string())).collect(),
        duration_ms: u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
    };
    let identity = Identity {
        image_digest: Some(report.digest.clone()),
        index_digest: report.index_digest.clone(),
        image: Some(report.image.clone()),
        ..Identity::default()
    };
    bus::Outgoing { time, key: Token::from(&report.digest), identity, class: bus::Class::Normal, id: None, data }
}

/// `build.image.findings-changed`.
pub(crate) fn changed(image: &str, data: FindingsChanged, time: Timestamp) -> bus::Outgoing<FindingsChanged> {
    let identity =
        Identity { image_digest: Some(data.digest.clone()), image: Some(image.to_owned()), ..Identity::default() };
    bus::Outgoing { time, key: Token::from(&data.digest), identity, class: bus::Class::Normal, id: None, data }
}

/// `build.image.scan-failed`.
pub(crate) fn failed(image: &str, error: &ScanError, time: Timestamp) -> bus::Outgoing<ScanFailed> {
    let data = ScanFailed {
        image: image.to_owned(),
        reason: shortened(&error.to_string()),
        remedy: error.remedy().to_owned(),
        retryable: error.is_retryable(),
    };
    let identity = Identity { image: Some(image.to_owned()), ..Identity::default() };
    let key = Token::from(&source_hash(image));
    bus::Outgoing { time, key, identity, class: bus::Class::Normal, id: None, data }
}

/// The answer to `ask.registry-scanner.scan`.
pub(crate) fn reply(report: &Report) -> ScanReply {
    ScanReply {
        digest: report.digest.clone(),
        packages: report.packages(),
        counts: SeverityCounts::of(&report.wire_findings()),
        partial: report.partial,
    }
}

/// The answer when there is no result.
pub(crate) fn refusal(error: &ScanError) -> AskError {
    AskError { message: error.to_string(), remedy: error.remedy().to_owned(), retryable: error.is_retryable() }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

const MAX_FAULTS: usize = 20;
