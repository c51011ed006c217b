//! Licences of packages in bills of material.

use model::license::{LicenseExpression, Operator, identifier};
use serde_json::{Value, json};

/// Licences as CycloneDX has them: one expression where all are on the SPDX licence list and one is compound, else each by its
/// identifier or its name.
#[must_use]
pub fn license_choices(licenses: &[String]) -> Vec<Value> {
    let expressions: Vec<LicenseExpression> =
        licenses.iter().filter(|text| !text.is_empty()).map(|text| expression(text)).collect();
    let is_compound = |one: &LicenseExpression| matches!(one, LicenseExpression::Compound { .. });
    if expressions.iter().any(is_compound) && expressions.iter().all(LicenseExpression::is_spdx) {
        let joined = expressions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" AND ");
        return vec![json!({ "expression": joined })];
    }
    let choice = |one: &LicenseExpression| {
        let text = one.to_string();
        match identifier(&text).filter(|_| !is_compound(one)) {
            Some(id) => json!({ "license": { "id": id } }),
            None => json!({ "license": { "name": text } }),
        }
    };
    expressions.iter().map(choice).collect()
}

fn expression(text: &str) -> LicenseExpression {
    let name = |text: &str| LicenseExpression::Simple { name: text.to_owned(), or_later: false };
    match text.strip_prefix(TEXT) {
        Some(words) => name(words),
        None => LicenseExpression::parse(&spaced(text)).map_or_else(|| name(text), LicenseExpression::normalized),
    }
}

/// `GPL-3.0-with-autoconf-exception` is a licence and an exception.
fn spaced(text: &str) -> String {
    text.replace("-with-", " WITH ").replace("-WITH-", " WITH ")
}

/// A licence that is not on the SPDX licence list, as SPDX documents describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherLicense {
    /// `LicenseRef-` and a hash of the rest.
    pub id: String,
    /// Name; `NOASSERTION` where only a text is known.
    pub name: String,
    /// Text of the licence, or a sentence that names it.
    pub text: String,
    /// Remark on a text.
    pub comment: String,
}

impl OtherLicense {
    fn named(name: &str) -> Self {
        Self::with_id(name.to_owned(), format!("This component is licensed under {name:?}"), String::new())
    }

    fn with_text(text: &str) -> Self {
        let comment = "The license text represents text found in package metadata and may not represent the full text of the license";
        Self::with_id("NOASSERTION".to_owned(), text.to_owned(), comment.to_owned())
    }

    fn with_id(name: String, text: String, comment: String) -> Self {
        let fields = [
            ("LicenseIdentifier", fnv(b"")),
            ("ExtractedText", fnv(text.as_bytes())),
            ("LicenseName", fnv(name.as_bytes())),
            ("LicenseCrossReferences", 0),
            ("LicenseComment", fnv(comment.as_bytes())),
        ];
        let id = format!("LicenseRef-{:x}", structure("OtherLicense", &fields));
        Self { id, name, text, comment }
    }

    pub(crate) fn rendered(&self) -> Value {
        crate::compact(json!({
            "licenseId": self.id, "name": self.name, "extractedText": self.text, "comment": self.comment,
        }))
    }
}

/// The licence expression of SPDX for licences that all apply, with those that the licence list does not have. Empty where it cannot
/// be written as an expression.
#[must_use]
pub fn spdx_license(licenses: &[String]) -> (String, Vec<OtherLicense>) {
    let mut others: Vec<OtherLicense> = Vec::new();
    let mut note = |other: OtherLicense| {
        let id = other.id.clone();
        if !others.contains(&other) {
            others.push(other);
        }
        id
    };
    let parts: Vec<String> = licenses
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| match text.strip_prefix(TEXT) {
            Some(words) => note(OtherLicense::with_text(words)),
            None => format!("({})", spaced(text)),
        })
        .collect();
    let Some(parsed) = LicenseExpression::parse(&parts.join(" AND ")) else { return (String::new(), Vec::new()) };
    let written = parsed.normalized().map_licenses(&mut |license| {
        let text = license.to_string();
        let is_plain = !matches!(license, LicenseExpression::Compound { operator: Operator::With, .. });
        if license.is_spdx() || (is_plain && text.starts_with("LicenseRef-")) {
            return license;
        }
        LicenseExpression::Simple { name: note(OtherLicense::named(&text)), or_later: false }
    });
    (written.to_string(), others)
}

/// FNV-1, 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| hash.wrapping_mul(0x0000_0100_0000_01b3) ^ u64::from(*byte))
}

fn closed(sum: u64) -> u64 {
    fnv(&sum.to_le_bytes())
}

/// A structure of a name with fields in no order, as Trivy hashes it, so that identifiers are the same.
fn structure(name: &str, fields: &[(&str, u64)]) -> u64 {
    fields.iter().fold(fnv(name.as_bytes()), |sum, (field, value)| {
        closed(sum ^ fnv(&[fnv(field.as_bytes()).to_le_bytes(), value.to_le_bytes()].concat()))
    })
}

/// Before the words of a licence that has no name.
const TEXT: &str = "text://";
