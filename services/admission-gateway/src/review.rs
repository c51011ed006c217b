//! One review: decode -> decide -> answer and publish. Only where a policy asks what memory does not know (who signed an image, a
//! config map, an API call) it is gathered within a deadline, and the review decided again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use admission_policy::{Action, Outcome, Request, ReviewError, RuleKind, RuleVerdict, Stage, Status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::{Bus, Class, Outgoing, Publisher};
use model::Identity;
use schemas::Token;
use schemas::ask::{ScanReply, ScanRequest};
use schemas::deploy::v1::{AdmissionReviewed, AdmittedImage, Decision, PolicyResult, RuleVerdict as Verdict};
use serde_json::{Value, json};

use crate::cluster::{Afterwards, Bindings, Changes, Gathered, Gatherer};
use crate::config::{Config, OnFault};
use crate::examine::examine;
use crate::facts::{BLOCK_DIGEST, Facts};
use crate::manifests::Manifests;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::signatures::{PullSecrets, Signatures};

/// Everything that a review needs, all of it in memory.
#[derive(Clone, Debug)]
pub(crate) struct Reviewer {
    pub(crate) policies: Policies,
    pub(crate) facts: Facts,
    pub(crate) signatures: Signatures,
    pub(crate) gatherer: Gatherer,
    pub(crate) bindings: Option<Bindings>,
    /// What is done once a request was let in; `None` without a cluster.
    pub(crate) afterwards: Option<Afterwards>,
    /// Whose reports are written again once a request was let in; `None` where none are written.
    pub(crate) changes: Option<Changes>,
    #[expect(dead_code, reason = "held for as long as reviews are answered")]
    pub(crate) manifests: Manifests,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Metrics,
    pub(crate) bus: Bus,
    pub(crate) config: Config,
}

/// Which webhook was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Mutate,
    Validate,
}

impl Phase {
    /// What is judged. The images are looked at again where nothing changes any more.
    fn stages(self) -> &'static [Stage] {
        match self {
            Self::Mutate => &[Stage::Mutate, Stage::VerifyImages],
            Self::Validate => &[Stage::VerifyImages, Stage::Validate],
        }
    }
}

impl Reviewer {
    /// Answers one AdmissionReview.
    pub(crate) async fn review(&self, phase: Phase, body: &[u8]) -> Result<Value, Malformed> {
        self.metrics.received.inc();
        let started = Instant::now();
        let review: Value = serde_json::from_slice(body).map_err(Malformed::NotJson)?;
        let mut request = Request::from_review(&review).map_err(Malformed::NotAReview)?;
        request.received_at = Some(service::now());
        if let Some(bindings) = &self.bindings {
            bindings.fill(&mut request);
        }
        request.by_controller = self.afterwards.as_ref().is_some_and(|afterwards| afterwards.is_own(&request));
        let span = tracing::info_span!(
            "review",
            uid = request.uid,
            kind = request.kind.kind,
            namespace = request.namespace,
            name = request.name
        );
        // Written by the mutating review: both reviews of an object are one trace.
        let annotations = review.pointer("/request/object/metadata/annotations");
        let parent = annotations.and_then(|annotations| annotations.get(kubernetes::keys::TRACEPARENT));
        bus::adopt_traceparent(&span, parent.and_then(Value::as_str));
        let policies = self.policies.now();
        let decide = |gathered: Option<&Gathered>| {
            let facts = self.facts.now();
            let facts = match gathered {
                Some(gathered) => std::sync::Arc::new(gathered.add_to(&facts)),
                None => facts,
            };
            let _entered = span.enter();
            catch_unwind(AssertUnwindSafe(|| policies.evaluate_stages(&request, &facts, phase.stages()))).ok()
        };
        let Some(mut outcome) = decide(None) else { return Ok(self.fault(&request)) };
        let mut gathered = Gathered::default();
        // What one fact says may lead to the next question.
        for _ in 0..ROUNDS {
            let missing = outcome.missing_facts();
            if missing.is_empty() {
                break;
            }
            let pulls = PullSecrets::of(request.subject());
            let (signed, found) = tokio::join!(
                self.signatures.gather(&missing, &pulls, &self.facts),
                self.gatherer.gather_for(&missing, &pulls, &mut gathered),
            );
            if !signed && !found {
                break;
            }
            let Some(again) = decide(Some(&gathered)) else { return Ok(self.fault(&request)) };
            outcome = again;
        }
        let _entered = span.enter();
        let refused = if phase == Phase::Validate { self.refuse(&request, &mut outcome) } else { None };
        let response = match phase {
            Phase::Mutate => mutation(&request, &outcome),
            Phase::Validate => verdict(&request, &outcome),
        };
        let allowed = response.get("allowed") == Some(&Value::Bool(true));
        self.metrics.decided(if allowed { "allow" } else { "deny" }, started.elapsed());
        if phase == Phase::Validate {
            self.publish(&request, (&outcome, refused), started);
            if allowed {
                self.follow_up(&request);
            }
        }
        Ok(envelope(&review, response))
    }

    /// Refuses what is refused whatever the policies say, and warns of what is odd about a policy; gives by what, and why.
    fn refuse(&self, request: &Request, outcome: &mut Outcome) -> Option<(&'static str, String)> {
        let examined = examine(request);
        outcome.warnings.extend(examined.warnings);
        let blocked = self.blocked(request).map(|message| (BLOCK_DIGEST, message));
        let refused = blocked.or(examined.refusal.map(|message| (POLICY, message)))?;
        (outcome.allowed, outcome.message) = (false, refused.1.clone());
        Some(refused)
    }

    /// Has everybody know who does something once a request was let in; nobody waits for it.
    fn follow_up(&self, request: &Request) {
        if let Some(afterwards) = &self.afterwards {
            afterwards.follow_up(request);
        }
        if let Some(changes) = &self.changes {
            changes.note(request);
        }
    }

    /// The one place where a fault of the gateway itself becomes an answer.
    fn fault(&self, request: &Request) -> Value {
        self.metrics.faults.inc();
        tracing::error!(uid = request.uid, "evaluation panicked");
        let allowed = self.config.on_fault == OnFault::Ignore;
        let message = "biotope could not judge this request (internal fault; see the gateway's log)";
        let response = json!({ "uid": request.uid, "allowed": allowed, "warnings": [message], "status": { "code": 500, "message": message } });
        envelope(&Value::Null, response)
    }

    fn publish(&self, request: &Request, (outcome, refused): (&Outcome, Option<(&str, String)>), started: Instant) {
        let images = self.images(request);
        if self.config.scan_unknown && !request.dry_run {
            self.scan_unknown(&images);
        }
        let first = images.first();
        let identity = Identity {
            image_digest: first.and_then(|image| image.digest.clone()),
            image: first.map(|image| image.reference.clone()),
            admission_id: admission_id(request).parse().ok(),
            namespace: Some(request.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            workload: kubernetes::pod::workload(request.subject()),
            ..Identity::default()
        };
        let data = AdmissionReviewed {
            operation: request.operation.as_str().to_owned(),
            kind: request.kind.kind.clone(),
            namespace: request.namespace.clone(),
            name: request.name.clone(),
            user: request.user.username.clone(),
            decision: if outcome.allowed { Decision::Allow } else { Decision::Deny },
            results: refused
                .map(refusal)
                .into_iter()
                .chain(outcome.verdicts.iter().filter(|verdict| verdict.status != Status::Pass).map(result))
                .chain(outcome.audit_annotations.iter().map(annotation))
                .take(100)
                .collect(),
            images,
            dry_run: request.dry_run,
            duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        let class = if outcome.allowed { Class::Normal } else { Class::High };
        let key = Token::lossy(if request.namespace.is_empty() { "cluster" } else { &request.namespace });
        let outgoing = Outgoing { time: service::now(), key, identity, class, id: None, data };
        // The loss is counted and reported by the publisher; the answer does not wait for it.
        if let Err(error) = self.publisher.try_publish(outgoing) {
            tracing::error!(%error, uid = request.uid, "review was not published");
        }
    }

    /// Why an image of the request is refused whatever the policies say: an open incident wants it so. What is there already may
    /// change.
    fn blocked(&self, request: &Request) -> Option<String> {
        if request.operation == admission_policy::Operation::Delete {
            return None;
        }
        let before: Vec<AdmittedImage> = request.old_object.as_ref().map(|old| self.images_of(old)).unwrap_or_default();
        let is_new = |image: &AdmittedImage| before.iter().all(|old| old.reference != image.reference);
        self.images(request).into_iter().filter(is_new).find_map(|image| {
            let incident = self.facts.blocked_by(image.digest.as_ref()?)?;
            let image = image.reference;
            Some(format!("image {image} is refused as long as incident {incident} is open ({BLOCK_DIGEST})"))
        })
    }

    fn images(&self, request: &Request) -> Vec<AdmittedImage> {
        self.images_of(request.subject())
    }

    fn images_of(&self, object: &Value) -> Vec<AdmittedImage> {
        let spec = kubernetes::pod::spec(object);
        let containers = spec.map(kubernetes::pod::containers).unwrap_or_default();
        let image = |container: kubernetes::pod::Container<'_>| AdmittedImage {
            container: container.name.to_owned(),
            reference: container.image.to_owned(),
            digest: self.facts.digest(container.image),
        };
        containers.into_iter().take(100).map(image).collect()
    }

    /// Hands images that were never scanned to the scanner, beside the review.
    fn scan_unknown(&self, images: &[AdmittedImage]) {
        for image in images.iter().filter(|image| !self.facts.is_scanned(&image.reference)) {
            let (bus, target) = (self.bus.clone(), image.reference.clone());
            tokio::spawn(async move {
                let request = ScanRequest { target, platform: None };
                let limit = std::time::Duration::from_secs(600);
                let asked = bus.ask::<_, ScanReply>(("registry-scanner", "scan"), &request, limit).await;
                if let Err(error) = asked {
                    tracing::warn!(image = request.target, %error, "an admitted image was not scanned");
                }
            });
        }
    }
}

/// By what a refused policy is told of in events.
const POLICY: &str = "policy";
/// Most times that facts are gathered for one review.
const ROUNDS: usize = 4;

/// The answer of `/mutate`: the patch of the policies, and the annotations by which a pod is found again.
fn mutation(request: &Request, outcome: &Outcome) -> Value {
    let refusal = outcome
        .verdicts
        .iter()
        .find(|verdict| matches!(verdict.kind, RuleKind::Mutate | RuleKind::VerifyImages) && verdict.denies());
    if let Some(refusal) = refusal {
        return json!({ "uid": request.uid, "allowed": false, "status": { "code": 400, "message": refusal.message } });
    }
    let Some(object) = request.object.as_ref().filter(|object| object.is_object()) else {
        return json!({ "uid": request.uid, "allowed": true });
    };
    let mut changed = outcome.patched.clone().unwrap_or_else(|| object.clone());
    if request.kind.kind == "Pod"
        && request.operation == admission_policy::Operation::Create
        && request.subresource.is_empty()
    {
        annotate(&mut changed, &request.uid);
    }
    let patch = json_patch::diff(object, &changed);
    let mut response = json!({ "uid": request.uid, "allowed": true });
    if !outcome.audit_annotations.is_empty() {
        response["auditAnnotations"] = json!(outcome.named_annotations());
    }
    if !outcome.warnings.is_empty() {
        response["warnings"] = json!(outcome.warnings);
    }
    if patch.0.is_empty() {
        return response;
    }
    let bytes = serde_json::to_vec(&patch).unwrap_or_default();
    response["patchType"] = json!("JSONPatch");
    response["patch"] = json!(STANDARD.encode(bytes));
    response
}

fn annotate(pod: &mut Value, uid: &str) {
    let Some(metadata) = pod.as_object_mut().map(|pod| pod.entry("metadata").or_insert_with(|| json!({}))) else {
        return;
    };
    let Some(annotations) =
        metadata.as_object_mut().map(|metadata| metadata.entry("annotations").or_insert_with(|| json!({})))
    else {
        return;
    };
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(kubernetes::keys::ADMISSION_ID.to_owned(), uid.into());
        if let Some(traceparent) = bus::current_traceparent() {
            annotations.insert(kubernetes::keys::TRACEPARENT.to_owned(), traceparent.into());
        }
    }
}

/// The answer of `/validate`.
fn verdict(request: &Request, outcome: &Outcome) -> Value {
    let mut response = json!({ "uid": request.uid, "allowed": outcome.allowed });
    if !outcome.warnings.is_empty() {
        response["warnings"] = json!(outcome.warnings);
    }
    if !outcome.audit_annotations.is_empty() {
        response["auditAnnotations"] = json!(outcome.named_annotations());
    }
    if !outcome.allowed {
        response["status"] = json!({ "code": 403, "message": outcome.message });
    }
    response
}

/// The id by which a pod's admission is found again: the API server gives every call of a webhook an id of its own, so a pod bears the
/// one that the mutating review wrote into it.
fn admission_id(request: &Request) -> &str {
    let annotations = request.subject().pointer("/metadata/annotations");
    let written = annotations.and_then(|annotations| annotations.get(kubernetes::keys::ADMISSION_ID)?.as_str());
    written.filter(|_| request.kind.kind == "Pod").unwrap_or(&request.uid)
}

/// The review to send back, in the version that came.
fn envelope(review: &Value, response: Value) -> Value {
    let version = review.get("apiVersion").and_then(Value::as_str).unwrap_or("admission.k8s.io/v1");
    json!({ "apiVersion": version, "kind": "AdmissionReview", "response": response })
}

/// What no policy says, but an incident, or that a policy is broken itself.
fn refusal((rule, message): (&str, String)) -> PolicyResult {
    PolicyResult {
        policy: "biotope".to_owned(),
        rule: rule.to_owned(),
        verdict: Verdict::Fail,
        enforced: true,
        message,
        exception: None,
    }
}

/// What a policy wants in the audit trail: the API server writes it into its own, and here it is in the event.
fn annotation(((policy, key), value): (&(String, String), &String)) -> PolicyResult {
    PolicyResult {
        policy: policy.clone(),
        rule: format!("auditAnnotations/{key}"),
        verdict: Verdict::Pass,
        enforced: false,
        message: value.chars().take(500).collect(),
        exception: None,
    }
}

fn result(verdict: &RuleVerdict) -> PolicyResult {
    let policy = match verdict.policy.namespace.as_str() {
        "" => verdict.policy.name.clone(),
        namespace => format!("{namespace}/{}", verdict.policy.name),
    };
    PolicyResult {
        policy,
        rule: verdict.rule.clone(),
        verdict: match verdict.status {
            Status::Pass => Verdict::Pass,
            Status::Fail => Verdict::Fail,
            Status::Skip => Verdict::Skip,
            Status::Warn => Verdict::Warn,
            Status::Error => Verdict::Error,
        },
        enforced: verdict.action == Action::Enforce,
        message: verdict.message.chars().take(500).collect(),
        exception: verdict.exceptions.first().cloned(),
    }
}

/// A body that cannot be judged at all; the API server then applies the webhook's failurePolicy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("body is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("body is not an AdmissionReview: {0}")]
    NotAReview(ReviewError),
}
