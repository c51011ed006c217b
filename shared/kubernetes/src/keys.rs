//! Keys that biotope writes into objects.

/// Annotation of a pod: uid of the AdmissionReview that let it in.
pub const ADMISSION_ID: &str = "biotope.dev/admission-id";

/// Annotation of a pod: trace context of its admission.
pub const TRACEPARENT: &str = "biotope.dev/traceparent";

/// Label of a pod: id of the incident that it is in quarantine for.
pub const QUARANTINE: &str = "biotope.dev/quarantine";

/// Annotation of a generated object that is kept in step: the policy, rule and trigger that it comes from, as JSON.
pub const GENERATED_FROM: &str = "biotope.dev/generated-from";

/// Annotation of a report: a hash of what it says, so that it is written again only when that is something else.
pub const REPORT: &str = "biotope.dev/report";
