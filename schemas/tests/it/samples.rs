//! One filled event of the types that the story needs.

use std::collections::BTreeMap;

use model::{Digest, EventId, Identity, SecretRef, Severity, Timestamp};
use schemas::build::v1::{Finding, ImageScanned, OperatingSystem, SeverityCounts};
use schemas::deploy::v1::{
    AdmissionReviewed, AdmittedImage, Decision, PodCreated, PolicyChanged, PolicyResult, RuleVerdict,
};
use schemas::incident::v1::{CaseOpened, Evidence, Factor, Incident, Status};
use schemas::run::v1::{Alert, ContainerStarted, EventsLost, Process, RuleMatched};
use schemas::start::v1::{KeyDigest, SecretDelivered, SecretRotated, SecretSyncFailed, SecretSynced};
use schemas::{Event, EventData, Header, Phase, Token};

/// Every sample as `(name, bytes)`.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    vec![
        sample(digest().hex(), scanned()),
        sample("shop", reviewed()),
        sample("cluster", PolicyChanged { policies: vec!["no-root".to_owned()], ..PolicyChanged::default() }),
        sample(POD, pod_created()),
        sample("shop", synced()),
        sample("shop", rotated()),
        sample("shop", sync_failed()),
        sample(POD, delivered()),
        sample(POD, started()),
        sample(POD, matched()),
        sample("node-1", lost()),
        sample("critical", CaseOpened(incident())),
    ]
}

pub(crate) fn scanned() -> ImageScanned {
    let finding = Finding {
        id: "CVE-2021-33503".to_owned(),
        aliases: vec!["GHSA-q2q7-5pp4-w6pg".to_owned()],
        package: "urllib3".to_owned(),
        purl: Some("pkg:pypi/urllib3@1.26.4".parse().unwrap()),
        installed_version: "1.26.4".to_owned(),
        fixed_version: "1.26.5".to_owned(),
        status: String::new(),
        severity: Severity::High,
        title: "slow parsing of crafted authority".to_owned(),
        published: Some(time(0)),
        layer: Some(digest()),
        path: "usr/lib/python3/dist-packages/urllib3-1.26.4.dist-info/METADATA".to_owned(),
    };
    ImageScanned {
        image: "registry.example/shop/web:1.0".to_owned(),
        digest: digest(),
        operating_system: Some(OperatingSystem { family: "debian".to_owned(), release: "12.14".to_owned() }),
        packages: 93,
        counts: SeverityCounts::of([&finding]),
        findings: vec![finding],
        findings_omitted: 0,
        database: "osv folder, 3 advisories".to_owned(),
        partial: false,
        faults: Vec::new(),
        duration_ms: 412,
    }
}

fn reviewed() -> AdmissionReviewed {
    AdmissionReviewed {
        operation: "CREATE".to_owned(),
        kind: "Pod".to_owned(),
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        user: "system:serviceaccount:kube-system:replicaset-controller".to_owned(),
        decision: Decision::Allow,
        results: vec![PolicyResult {
            policy: "require-run-as-nonroot".to_owned(),
            rule: "run-as-non-root".to_owned(),
            verdict: RuleVerdict::Skip,
            enforced: true,
            message: "skipped by exception".to_owned(),
            exception: Some("shop/web-may-run-as-root".to_owned()),
        }],
        images: vec![image()],
        dry_run: false,
        duration_us: 87,
    }
}

fn pod_created() -> PodCreated {
    PodCreated {
        images: vec![image()],
        secrets: vec!["db".to_owned()],
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        node: "node-1".to_owned(),
    }
}

fn synced() -> SecretSynced {
    SecretSynced {
        manifest: "ExternalSecret shop/db".to_owned(),
        namespace: "shop".to_owned(),
        target: "db".to_owned(),
        sources: vec![secret("3")],
        keys: vec![KeyDigest { key: "password".to_owned(), hmac: "00".repeat(32) }],
    }
}

fn rotated() -> SecretRotated {
    SecretRotated {
        manifest: "ExternalSecret shop/db".to_owned(),
        namespace: "shop".to_owned(),
        target: "db".to_owned(),
        sources: vec![secret("4")],
        previous: vec![secret("3")],
        keys: Vec::new(),
    }
}

fn sync_failed() -> SecretSyncFailed {
    SecretSyncFailed {
        manifest: "ExternalSecret shop/db".to_owned(),
        namespace: "shop".to_owned(),
        target: "db".to_owned(),
        reason: "the vault is sealed".to_owned(),
        remedy: "unseal it".to_owned(),
        attempts: 2,
    }
}

fn delivered() -> SecretDelivered {
    SecretDelivered {
        namespace: "shop".to_owned(),
        target: "db".to_owned(),
        sources: vec![secret("3")],
        by: vec!["env".to_owned()],
    }
}

fn started() -> ContainerStarted {
    ContainerStarted {
        process: process(),
        image: "registry.example/shop/web:1.0".to_owned(),
        cgroup: "/kubepods/x".to_owned(),
    }
}

fn matched() -> RuleMatched {
    RuleMatched {
        alert: Alert {
            output: "sensitive file opened".to_owned(),
            priority: "Warning".to_owned(),
            rule: "Read sensitive file untrusted".to_owned(),
            source: "syscall".to_owned(),
            tags: vec!["container".to_owned(), "T1555".to_owned()],
            time: time(3),
            hostname: "node-1".to_owned(),
            output_fields: BTreeMap::from([
                ("fd.name".to_owned(), "/etc/shadow".into()),
                ("proc.pid".to_owned(), 42.into()),
            ]),
        },
        event: "openat".to_owned(),
        process: process(),
        ancestors: vec![process()],
    }
}

fn lost() -> EventsLost {
    EventsLost {
        at: "kernel-ring".to_owned(),
        lost: BTreeMap::from([("open".to_owned(), 7)]),
        kept: 93,
        remedy: "raise ring_bytes".to_owned(),
    }
}

fn incident() -> Incident {
    Incident {
        id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        revision: 1,
        rule: "vulnerable-image-exploited".to_owned(),
        title: "web spawned a shell".to_owned(),
        severity: Severity::Critical,
        score: 87.5,
        factors: vec![Factor { name: "phases".to_owned(), weight: 2.0 }],
        status: Status::Open,
        identity: identity(),
        phases: vec![Phase::Build, Phase::Deploy, Phase::Start, Phase::Run],
        first_time: time(0),
        last_time: time(3),
        timeline: vec![Evidence {
            event: id(),
            time: time(3),
            phase: Phase::Run,
            event_type: "run.rule.matched".to_owned(),
            summary: "Read sensitive file untrusted: /etc/shadow by cat".to_owned(),
        }],
        evidence_omitted: 0,
        tags: vec!["T1555".to_owned()],
        responses: Vec::new(),
    }
}

fn sample<D: EventData>(key: &str, data: D) -> (String, Vec<u8>) {
    let event = event(key, data);
    (D::TYPE.path(), rmp_serde::to_vec_named(&event).unwrap())
}

pub(crate) fn event<D: EventData>(key: &str, data: D) -> Event<D> {
    let header = Header {
        id: id(),
        time: time(3),
        source: "/prod/runtime-sensor/node-1".to_owned(),
        sequence: 17,
        cluster: "prod".parse().unwrap(),
        node: Some("node-1".parse().unwrap()),
        traceparent: None,
    };
    Event::new(header, key.parse::<Token>().unwrap(), identity(), data)
}

fn identity() -> Identity {
    Identity {
        image_digest: Some(digest()),
        image: Some("registry.example/shop/web:1.0".to_owned()),
        admission_id: Some("705ab4f5-6393-11e8-b7cc-42010a800002".parse().unwrap()),
        pod_uid: Some(POD.parse().unwrap()),
        pod_name: Some("web".to_owned()),
        namespace: Some("shop".to_owned()),
        secrets: vec![secret("3")],
        ..Identity::default()
    }
}

fn secret(version: &str) -> SecretRef {
    SecretRef {
        store: "SecretStore shop/vault".to_owned(),
        path: "shop/db".to_owned(),
        version: version.to_owned(),
        target: Some("db".to_owned()),
    }
}

fn image() -> AdmittedImage {
    AdmittedImage {
        container: "web".to_owned(),
        reference: "registry.example/shop/web:1.0".to_owned(),
        digest: Some(digest()),
    }
}

fn process() -> Process {
    Process {
        pid: 42,
        name: "cat".to_owned(),
        exe: "/bin/busybox".to_owned(),
        cmdline: "cat /etc/shadow".to_owned(),
        uid: 0,
    }
}

fn digest() -> Digest {
    format!("sha256:{}", "5e".repeat(32)).parse().unwrap()
}

fn id() -> EventId {
    EventId::from_uuid(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_nanos(1_790_000_000_123_456_789 + second * 1_000_000_000)
}

const POD: &str = "0b1f9c6e-2d8f-4a5e-9d27-0c7a3c1f2b3a";
