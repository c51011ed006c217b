//! The events: noise of many pods, and planted stories that must each become one incident.

use bus::{Class, Outgoing, PublishError, Publisher};
use model::{Digest, EventId, Identity, IncidentId, PodUid, SecretRef, Severity, Timestamp};
use schemas::Token;
use schemas::build::v1::{Finding, ImageScanned, SeverityCounts};
use schemas::deploy::v1::{AdmissionReviewed, Decision, PodCreated, PolicyResult, RuleVerdict};
use schemas::run::v1::{Alert, Process, RuleMatched};
use schemas::start::v1::SecretDelivered;

/// One pod.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    number: u32,
    pub(crate) uid: PodUid,
    digest: Digest,
}

impl Pod {
    pub(crate) fn new(number: u32) -> anyhow::Result<Self> {
        let uid = format!("{number:08x}-10ad-4000-8000-000000000000").parse()?;
        Ok(Self { number, uid, digest: format!("sha256:{number:064x}").parse()? })
    }

    /// The id of its one container.
    pub(crate) fn container_id(&self) -> String {
        format!("{:064x}", self.number)
    }

    /// The id that the incident of this pod must have, if its story is told.
    pub(crate) fn incident_id(&self) -> Option<IncidentId> {
        correlation::incident_id("pod-compromise", &format!("pod/{}", self.uid), Timestamp::from_nanos(0))
    }

    /// Publishes what comes before the alert: scan, admission under an exception, pod, secret.
    pub(crate) async fn prepare(&self, to: &Publisher, time: Timestamp) -> Result<(), PublishError> {
        to.publish(self.outgoing(time, Token::from(&self.digest), self.identity(), self.scanned())).await?;
        let admission = format!("adm-{}", self.number).parse().ok();
        let reviewed = Identity { admission_id: admission.clone(), ..Identity::default() };
        to.publish(self.outgoing(time, Token::lossy("default"), reviewed, admitted())).await?;
        let created = Identity { admission_id: admission, namespace: Some("default".to_owned()), ..self.identity() };
        to.publish(self.outgoing(time, Token::from(&self.uid), created, PodCreated::default())).await?;
        let source = SecretRef {
            store: "SecretStore default/vault".to_owned(),
            path: "db".to_owned(),
            version: "1".to_owned(),
            target: None,
        };
        let data = SecretDelivered {
            namespace: "default".to_owned(),
            target: "db".to_owned(),
            sources: vec![source.clone()],
            by: vec!["env".to_owned()],
        };
        let delivered = Identity { secrets: vec![source], ..self.identity() };
        to.publish(self.outgoing(time, Token::from(&self.uid), delivered, data)).await?;
        Ok(())
    }

    /// Publishes one alert.
    pub(crate) async fn alert(&self, to: &Publisher, time: Timestamp, priority: &str) -> Result<(), PublishError> {
        let data = self.matched(time, priority);
        to.publish(self.outgoing(time, Token::from(&self.uid), self.identity(), data)).await.map(drop)
    }

    fn outgoing<D>(&self, time: Timestamp, key: Token, identity: Identity, data: D) -> Outgoing<D> {
        let id = Some(EventId::from_uuid(uuid::Uuid::now_v7()));
        Outgoing { time, key, identity, class: Class::Normal, id, data }
    }

    fn identity(&self) -> Identity {
        Identity {
            pod_uid: Some(self.uid.clone()),
            pod_name: Some(format!("web-{}", self.number)),
            namespace: Some("default".to_owned()),
            container_id: self.container_id().parse().ok(),
            image_digest: Some(self.digest.clone()),
            ..Identity::default()
        }
    }

    fn scanned(&self) -> ImageScanned {
        let finding = Finding {
            id: "CVE-2021-33503".to_owned(),
            aliases: Vec::new(),
            package: "urllib3".to_owned(),
            purl: None,
            installed_version: "1.26.4".to_owned(),
            fixed_version: "1.26.5".to_owned(),
            status: String::new(),
            severity: Severity::High,
            title: String::new(),
            published: None,
            layer: None,
            path: String::new(),
        };
        ImageScanned {
            image: format!("registry.example/web:{}", self.number),
            digest: self.digest.clone(),
            operating_system: None,
            packages: 1,
            counts: SeverityCounts::of([&finding]),
            findings: vec![finding],
            findings_omitted: 0,
            database: String::new(),
            partial: false,
            faults: Vec::new(),
            duration_ms: 1,
        }
    }

    fn matched(&self, time: Timestamp, priority: &str) -> RuleMatched {
        let fields =
            [("proc.name", "sh"), ("proc.cmdline", "sh -c id"), ("user.name", "root"), ("fd.name", "/etc/shadow")];
        let alert = Alert {
            output: "A shell was used as the entrypoint (user=root command=sh -c id parent=python3)".to_owned(),
            priority: priority.to_owned(),
            rule: "Terminal shell in container".to_owned(),
            source: "syscall".to_owned(),
            tags: vec!["container".to_owned(), "shell".to_owned(), "mitre_execution".to_owned()],
            time,
            hostname: "node-1".to_owned(),
            output_fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect(),
        };
        let process = |pid: u32, name: &str| Process {
            pid,
            name: name.to_owned(),
            exe: format!("/bin/{name}"),
            cmdline: format!("{name} -c id"),
            uid: 0,
        };
        RuleMatched {
            alert,
            event: "execve".to_owned(),
            process: process(self.number, "sh"),
            ancestors: vec![process(2, "python3"), process(1, "init")],
        }
    }
}

fn admitted() -> AdmissionReviewed {
    let result = PolicyResult {
        policy: "no-known-vulnerabilities".to_owned(),
        rule: "scan".to_owned(),
        verdict: RuleVerdict::Skip,
        exception: Some("default/let-it-in".to_owned()),
        ..PolicyResult::default()
    };
    AdmissionReviewed {
        operation: "CREATE".to_owned(),
        kind: "Pod".to_owned(),
        namespace: "default".to_owned(),
        name: "web".to_owned(),
        user: "dev".to_owned(),
        decision: Decision::Allow,
        results: vec![result],
        images: Vec::new(),
        dry_run: false,
        duration_us: 1,
    }
}
