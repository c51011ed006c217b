//! A bill of material instead of an image: CycloneDX or SPDX in JSON, as it is or inside of an attestation (in-toto, DSSE, Sigstore).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image_inventory::{ImageInventory, ParseError, sbom};
use serde::Deserialize;
use serde_json::Value;
use vulnerability_matching::vex::ScannedBill;

/// The form of a bill of material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillForm {
    /// CycloneDX.
    CycloneDx,
    /// SPDX.
    Spdx,
}

/// What a bill of material is wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// Nothing.
    None,
    /// An in-toto statement, in a DSSE envelope.
    Attestation,
    /// A Sigstore bundle with such an envelope.
    SigstoreBundle,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Outer {
    media_type: String,
    payload_type: String,
    payload: String,
    dsse_envelope: Option<Box<Envelope>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    #[serde(rename = "bomFormat")]
    bom_format: String,
    #[serde(rename = "SPDXID")]
    spdx_id: String,
    #[serde(rename = "spdxVersion")]
    spdx_version: String,
}

impl Head {
    fn form(&self) -> Option<BillForm> {
        if self.bom_format == "CycloneDX" {
            return Some(BillForm::CycloneDx);
        }
        (self.spdx_id.starts_with("SPDX") && self.spdx_version.starts_with("SPDX-")).then_some(BillForm::Spdx)
    }
}

/// Finds the form of a bill of material; `None` when the bytes are none.
#[must_use]
pub fn bill_form(bytes: &[u8]) -> Option<(BillForm, Wrapping)> {
    let (inner, wrapping) = unwrapped(bytes)?;
    let head: Head = serde_json::from_slice(&inner).ok()?;
    head.form().map(|form| (form, wrapping))
}

/// The bill of material alone.
fn unwrapped(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, Wrapping)> {
    let outer: Outer = serde_json::from_slice(bytes).ok()?;
    if let Some(envelope) = outer.dsse_envelope {
        return is_known_bundle(&outer.media_type)
            .then(|| statement(&envelope.payload_type, &envelope.payload))
            .flatten()
            .map(|inner| (Cow::Owned(inner), Wrapping::SigstoreBundle));
    }
    if outer.payload_type.is_empty() {
        return Some((Cow::Borrowed(bytes), Wrapping::None));
    }
    statement(&outer.payload_type, &outer.payload).map(|inner| (Cow::Owned(inner), Wrapping::Attestation))
}

/// The predicate of an in-toto statement. Older programs put the bill of material into a field `Data` of it, perhaps as text.
fn statement(kind: &str, payload: &str) -> Option<Vec<u8>> {
    if kind != "application/vnd.in-toto+json" {
        return None;
    }
    let statement: Value = serde_json::from_slice(&STANDARD.decode(payload).ok()?).ok()?;
    let predicate = statement.get("predicate")?;
    match predicate.get("Data").unwrap_or(predicate) {
        Value::String(text) => Some(text.clone().into_bytes()),
        bill @ Value::Object(_) => serde_json::to_vec(bill).ok(),
        _ => None,
    }
}

/// Versions 0.1 to 0.3 of the bundle are known.
fn is_known_bundle(media_type: &str) -> bool {
    let old = media_type.strip_prefix("application/vnd.dev.sigstore.bundle+json;version=");
    let new =
        media_type.strip_prefix("application/vnd.dev.sigstore.bundle.v").and_then(|rest| rest.strip_suffix("+json"));
    matches!(old.or(new), Some("0.1" | "0.2" | "0.3"))
}

/// What a CycloneDX bill calls itself; `None` where it has no serial number.
pub(crate) fn scanned_bill(bytes: &[u8]) -> Option<ScannedBill> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Serial {
        serial_number: String,
        #[serde(default)]
        version: Option<u64>,
    }
    let (inner, _) = unwrapped(bytes)?;
    let serial: Serial = serde_json::from_slice(&inner).ok()?;
    Some(ScannedBill { serial_number: serial.serial_number, version: serial.version.unwrap_or(1) })
}

/// Reads what a bill of material lists.
///
/// # Errors
/// When the bytes are no bill of material, or a broken one.
pub fn read_bill(bytes: &[u8]) -> Result<(BillForm, ImageInventory), ParseError> {
    let (inner, _) = unwrapped(bytes).unwrap_or((Cow::Borrowed(bytes), Wrapping::None));
    let bill = sbom::read(&inner)?;
    let head: Head = serde_json::from_slice(&inner).unwrap_or_default();
    let mut applications = bill.applications;
    for application in &mut applications {
        // Packages that say themselves what they are have no file; upstream lists them under the language's name.
        if matches!(application.file_path.as_str(), "Conda" | "Java" | "Node.js" | "Python" | "Ruby") {
            application.file_path.clear();
        }
    }
    let inventory = ImageInventory {
        operating_system: bill.operating_system,
        packages: bill.package_lists.into_iter().flat_map(|list| list.packages).collect(),
        applications,
        ..ImageInventory::default()
    };
    Ok((head.form().unwrap_or(BillForm::CycloneDx), inventory))
}
