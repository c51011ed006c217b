//! Statements of VEX documents against the findings of a report.

use std::collections::HashMap;

use image_inventory::Package;
use scan_report::image_purl;
use vulnerability_matching::vex::{Component, Document, Graph, Statement, VexError};

use crate::report::Names;
use crate::scan::Report;

/// Documents that were read for one report.
#[derive(Clone, Debug, Default)]
pub struct Statements {
    documents: Vec<Document>,
}

impl Statements {
    /// Reads documents, each with its name. What CycloneDX documents refer to is the bill of material that was scanned.
    ///
    /// # Errors
    /// When a document is of no known form, broken, or about a bill of material where none was scanned.
    pub fn parse<'d>(
        documents: impl IntoIterator<Item = (&'d str, &'d [u8])>,
        report: &Report,
    ) -> Result<Self, VexError> {
        let read = documents.into_iter().map(|(name, bytes)| Document::parse(name, bytes, report.bill.as_ref()));
        Ok(Self { documents: read.collect::<Result<_, _>>()? })
    }

    /// For each finding, in their order, the statement that takes it away.
    #[must_use]
    pub fn verdicts(&self, report: &Report) -> Vec<Option<Statement>> {
        if self.documents.is_empty() {
            return vec![None; report.findings.len()];
        }
        let architecture = report.config.get("architecture").and_then(|one| one.as_str()).unwrap_or_default();
        let purl = image_purl(&Names::of(report).digests, architecture).ok().flatten();
        let mut graph = Graph::new(Component { purl, reference: String::new() });
        let mut places = HashMap::new();
        add(&mut graph, &mut places, &report.inventory.packages, "");
        for application in &report.inventory.applications {
            add(&mut graph, &mut places, &application.packages, &application.file_path);
        }
        let verdict = |id: &str, product: &Component, part: Option<&Component>| {
            self.documents.iter().find_map(|document| document.verdict(id, product, part))
        };
        let findings = report.findings.iter().map(|found| {
            let key = (found.package.as_str(), found.installed_version.clone(), found.path.as_str());
            let leaf = places.get(&key).copied()?;
            graph.cut(leaf, |product, part| verdict(&found.id, product, part))
        });
        findings.collect()
    }
}

type Places<'i> = HashMap<(&'i str, String, &'i str), usize>;

fn add<'i>(graph: &mut Graph, places: &mut Places<'i>, packages: &'i [Package], home: &'i str) {
    let by_id: HashMap<&str, usize> = packages.iter().map(|one| one.id.as_str()).zip(0..).collect();
    let needs: Vec<Vec<usize>> = packages
        .iter()
        .map(|one| one.depends_on.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect())
        .collect();
    let component = |one: &Package| Component { purl: one.purl.clone(), reference: String::new() };
    let first = graph.add_list(packages.iter().map(component).zip(needs.iter().map(Vec::as_slice)));
    for (place, package) in packages.iter().enumerate() {
        let path = if package.file_path.is_empty() { home } else { package.file_path.as_str() };
        places.entry((&package.name, package.full_version(), path)).or_insert(first.saturating_add(place));
    }
}
