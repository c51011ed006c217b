//! ImageValidatingPolicy: digests before expressions, and signatures that some policy must have checked.

use admission_policy::{ImageTrust, MissingFact, PolicySet, RegistryAccess, Request, Snapshot, Status, attestor_key};
use serde_json::{Value, json};

const IMAGE: &str = "registry.example/app:1";

fn pod(image: &str) -> Request {
    Request::create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": image}]}}))
}

fn policy(name: &str, configuration: &str, validation: &str, more: &str) -> String {
    format!(
        "apiVersion: policies.kyverno.io/v1
kind: ImageValidatingPolicy
metadata: {{name: {name}}}
spec:
  matchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
  validationConfigurations: {configuration}
  attestors: [{{name: release, cosign: {{key: {{data: KEY}}}}}}]
  validations: [{{expression: \"{validation}\", message: refused}}]
{more}"
    )
}

fn load(texts: &[String]) -> PolicySet {
    let files = texts.iter().enumerate().map(|(at, text)| (format!("{at}.yaml"), text));
    let (set, faults) = PolicySet::load(files);
    assert!(faults.is_empty(), "{faults:#?}");
    set
}

fn digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

/// What is known once the signatures of the image were looked at.
fn known(signed: bool) -> Snapshot {
    let key = attestor_key(&json!({"type": "Detected", "keys": {"publicKeys": "KEY"}}));
    let trust = ImageTrust { digest: digest(), signatures: [(key, signed)].into(), ..ImageTrust::default() };
    Snapshot { image_trust: [(IMAGE.to_owned(), trust)].into(), ..Snapshot::default() }
}

const CHECK: &str = "images.containers.map(i, verifyImageSignatures(i, [attestors.release])).all(n, n > 0)";
const LAX: &str = "images.containers.map(i, verifyImageSignatures(i, [attestors.release])).all(n, n >= 0)";

fn verdicts(set: &PolicySet, image: &str, snapshot: &Snapshot) -> Vec<(Status, String)> {
    set.evaluate(&pod(image), snapshot).verdicts.into_iter().map(|one| (one.status, one.message)).collect()
}

#[test]
fn without_patterns_all_images_are_meant_and_expressions_are_judged_without_images_too() {
    let free = "{mutateDigest: false, verifyDigest: false, required: false}";
    let set = load(&[policy("labelled", free, "has(object.metadata.labels)", "")]);
    assert_eq!(verdicts(&set, IMAGE, &Snapshot::default()), [(Status::Fail, "refused".to_owned())]);
    let counted =
        "images.containers.size() == 0 && verifyImageSignatures('other.example/x:1', [attestors.release]) == 0";
    let set = load(&[policy("none", free, counted, "  matchImageReferences: [{glob: 'ghcr.example/*'}]\n")]);
    assert_eq!(verdicts(&set, IMAGE, &Snapshot::default()), [(Status::Pass, "success".to_owned())]);
}

#[test]
fn expressions_see_images_with_their_digests() {
    let pinned =
        "images.containers.all(i, i.contains('@sha256:')) && object.spec.containers.all(c, c.image.contains('@'))";
    let set = load(&[policy("pinned", "{required: false}", pinned, "")]);
    let outcome = set.evaluate(&pod(IMAGE), &Snapshot::default());
    assert_eq!(
        outcome.verdicts[0].missing,
        [MissingFact::ImageMetadata { image: IMAGE.to_owned(), access: RegistryAccess::default() }]
    );
    let metadata = json!({"digest": digest()});
    let snapshot = Snapshot { image_metadata: [(IMAGE.to_owned(), metadata)].into(), ..Snapshot::default() };
    let outcome = set.evaluate(&pod(IMAGE), &snapshot);
    assert_eq!(outcome.verdicts[0].status, Status::Pass, "{}", outcome.verdicts[0].message);
    let image = outcome.patched.unwrap()["spec"]["containers"][0]["image"].clone();
    assert_eq!(image, Value::from(format!("{IMAGE}@{}", digest())));
    // Nobody adds one: then the image must have it.
    let set = load(&[policy("digest", "{mutateDigest: false, required: false}", "true", "")]);
    let expected = format!("image {IMAGE} does not have a digest");
    assert_eq!(verdicts(&set, IMAGE, &snapshot), [(Status::Fail, expected)]);
    let with = format!("{IMAGE}@{}", digest());
    assert_eq!(verdicts(&set, &with, &snapshot), [(Status::Pass, "success".to_owned())]);
}

#[test]
fn images_must_have_passed_a_check_of_some_policy() {
    let loose = "{mutateDigest: false, verifyDigest: false}";
    let catch_all = policy("catch-all", loose, "true", "");
    let unchecked =
        format!("image {IMAGE} is not verified: no policy performed a signature or attestation check on it");
    assert_eq!(verdicts(&load(std::slice::from_ref(&catch_all)), IMAGE, &known(true)), [(Status::Fail, unchecked)]);
    // The policy that checks may come later, and be satisfied with less.
    let checking =
        |expression| policy("checking", "{mutateDigest: false, verifyDigest: false, required: false}", expression, "");
    let (pass, fail) = ((Status::Pass, "success".to_owned()), (Status::Fail, "refused".to_owned()));
    let set = load(&[catch_all.clone(), checking(CHECK)]);
    assert_eq!(verdicts(&set, IMAGE, &known(true)), [pass.clone(), pass.clone()]);
    let refused = (Status::Fail, format!("image {IMAGE} failed signature or attestation verification"));
    assert_eq!(verdicts(&set, IMAGE, &known(false)), [refused.clone(), fail]);
    assert_eq!(verdicts(&load(&[catch_all, checking(LAX)]), IMAGE, &known(false)), [refused, pass]);
}

#[test]
fn a_digest_that_comes_with_the_signatures_is_asked_for_once() {
    let set = load(&[policy("signed", "{}", CHECK, "")]);
    let outcome = set.evaluate(&pod(IMAGE), &Snapshot::default());
    assert_eq!(outcome.verdicts[0].status, Status::Error);
    assert!(matches!(&outcome.missing_facts()[..], [MissingFact::ImageTrust { image, .. }] if image == IMAGE));
    let outcome = set.evaluate(&pod(IMAGE), &known(true));
    assert!(outcome.allowed && outcome.patched.is_some(), "{}", outcome.message);
}

#[test]
fn what_the_kinds_demand_is_asked_for_when_they_are_loaded() {
    let good = policy("p", "{}", CHECK, "");
    let validating = "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {name: v}\nspec:\n  MORE\n  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}\n  validations: [{expression: 'true'}]\n";
    let exception =
        "apiVersion: policies.kyverno.io/v1\nkind: PolicyException\nmetadata: {name: e}\nspec: {policyRefs: []}\n";
    for (text, line, what) in [
        (
            good.replace("  validations:", "  failurePolicy: Ignored\n  validations:"),
            9,
            "unsupported failurePolicy \"Ignored\"",
        ),
        (good.replace("  attestors:", "  other:"), 4, "`attestors` is missing"),
        (validating.replace("MORE", "validationActions: [Audit, test]"), 5, "unsupported action \"test\""),
        (validating.replace("MORE", "validationActions: Deny"), 5, "`validationActions` is no list"),
        (
            validating.replace("MORE", "").replace("matchConstraints", "matched"),
            4,
            "`matchConstraints.resourceRules` is missing or empty",
        ),
        (validating.replace("Validating", "Generating").replace("MORE", ""), 4, "`generate` is missing or empty"),
        (
            validating.replace("Validating", "Mutating").replace("MORE", "evaluation: {admission: {enabled: false}}"),
            5,
            "both admission and mutateExisting are switched off",
        ),
        (exception.to_owned(), 4, "`policyRefs` is missing or empty"),
    ] {
        let (set, faults) = PolicySet::load([("p.yaml", &text)]);
        assert!(set.is_empty() && set.exceptions().is_empty(), "{text}");
        let fault =
            faults.iter().find(|fault| fault.what.contains(what)).unwrap_or_else(|| panic!("{what}: {faults:#?}"));
        assert!(fault.line == line && !fault.remedy.is_empty(), "{fault}");
    }
}

#[test]
fn refusals_of_policies_in_cel_name_policy_and_reason() {
    let lax = "{mutateDigest: false, verifyDigest: false, required: false}";
    let set = load(&[policy("one", lax, "false", ""), policy("two", lax, "false", "  validationActions: [Warn]\n")]);
    let outcome = set.evaluate(&pod(IMAGE), &Snapshot::default());
    assert_eq!(outcome.message, "Policy one failed: refused");
    assert_eq!(outcome.warnings, ["Policy two failed: refused"]);
}
