//! What is added to the outputs of rules from outside the rules files: upstream's `append_output`.

use crate::items::RuleItem;
use crate::output::Output;

/// What to add, and to which rules. Empty conditions select every rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendOutput {
    /// Only to rules for this source.
    pub source: Option<String>,
    /// Only to rules that have all of these tags.
    pub tags: Vec<String>,
    /// Only to this rule.
    pub rule: Option<String>,
    /// Text with `%field` items, put behind the output.
    pub extra_output: Option<String>,
    /// Entries of `output_fields`.
    pub extra_fields: Vec<ExtraField>,
    /// Whether the container's and the pod's fields are put behind the output.
    pub suggested_output: bool,
}

/// An entry that is added to `output_fields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtraField {
    /// A field under its own name, its value as it is.
    Raw(String),
    /// A text with `%field` items under a name.
    Formatted {
        /// The name.
        name: String,
        /// The text.
        format: String,
    },
}

/// An [`ExtraField`], ready to be computed.
#[derive(Clone, Debug)]
pub struct ExtraOutput {
    pub(crate) name: String,
    pub(crate) format: Output,
    pub(crate) is_raw: bool,
}

impl AppendOutput {
    fn is_for(&self, item: &RuleItem) -> bool {
        self.source.as_ref().is_none_or(|source| *source == item.source)
            && self.rule.as_ref().is_none_or(|rule| *rule == item.name)
            && self.tags.iter().all(|tag| item.tags.contains(tag))
    }
}

/// The output format of a rule with everything that is put behind it.
pub(crate) fn format(item: &RuleItem, appended: &[AppendOutput]) -> String {
    let mut format = item.output.clone();
    for append in appended.iter().filter(|append| append.is_for(item)) {
        if let Some(extra) = append.extra_output.as_ref().filter(|extra| !extra.is_empty()) {
            format.push(' ');
            format.push_str(extra);
        }
        if append.suggested_output {
            format.push_str(SUGGESTED_OUTPUTS);
        }
    }
    format
}

/// The entries that are added to the `output_fields` of a rule.
///
/// # Errors
/// Names the item that is no field.
pub(crate) fn extra_outputs(item: &RuleItem, appended: &[AppendOutput]) -> Result<Vec<ExtraOutput>, String> {
    let wanted = appended.iter().filter(|append| append.is_for(item)).flat_map(|append| &append.extra_fields);
    let compile = |extra: &ExtraField| {
        let (name, format, is_raw) = match extra {
            ExtraField::Raw(field) => (field, format!("%{field}"), true),
            ExtraField::Formatted { name, format } => (name, format.clone(), false),
        };
        Output::compile(&format).map(|format| ExtraOutput { name: name.clone(), format, is_raw })
    };
    wanted.map(compile).collect()
}

/// What upstream's container plugin suggests for every output.
const SUGGESTED_OUTPUTS: &str = " container_id=%container.id container_name=%container.name \
    container_image_repository=%container.image.repository container_image_tag=%container.image.tag \
    k8s_pod_name=%k8s.pod.name k8s_ns_name=%k8s.ns.name";
