//! Who may do what on the bus: one user for each service, as data. The chart's `permissions.conf` is made from it.

use std::fmt::Write as _;

use crate::stream::{BUCKETS, STREAMS};

/// A user of the platform's account.
#[derive(Clone, Debug)]
pub struct User {
    /// Name: that of its service.
    pub name: &'static str,
    /// What it may publish, below `biotope.v1.<cluster>.`. Losses and dead letters of its own come on top.
    pub says: &'static [&'static str],
    /// Streams that it may read.
    pub reads: &'static [&'static str],
    /// Buckets that it may change.
    pub keeps: &'static [&'static str],
    /// Commands that it may give, below `biotope.v1.<cluster>.ask.`.
    pub asks: &'static [&'static str],
}

/// Every user. Only the correlator says what an incident is; who holds the means for a response says that it was done.
pub const USERS: &[User] = &[
    User { name: "registry-scanner", says: &["build.>"], reads: &["BIOTOPE_EVENTS"], keeps: &[], asks: &[] },
    User {
        name: "admission-gateway",
        says: &["deploy.>", "incident.response.done.*"],
        reads: &["BIOTOPE_BUILD", "BIOTOPE_EVENTS", "BIOTOPE_INCIDENTS"],
        keeps: &[],
        asks: &["registry-scanner.scan"],
    },
    User {
        name: "secret-broker",
        says: &["start.>", "incident.response.done.rotate"],
        reads: &["BIOTOPE_INCIDENTS"],
        keeps: &[],
        asks: &["secret-broker.rotate"],
    },
    User {
        name: "runtime-sensor",
        says: &["run.>"],
        reads: &["BIOTOPE_BUILD", "BIOTOPE_EVENTS"],
        keeps: &[],
        asks: &[],
    },
    User {
        name: "correlator",
        says: &["incident.>"],
        reads: &["BIOTOPE_BUILD", "BIOTOPE_EVENTS", "BIOTOPE_INCIDENTS"],
        keeps: &["biotope_leases"],
        asks: &[],
    },
];

impl User {
    /// Subjects that it may publish to: its events, the parts of JetStream that it needs, its commands.
    #[must_use]
    pub fn publishes(&self) -> Vec<String> {
        let ours = |rest: &str| format!("biotope.v1.*.{rest}");
        let mut subjects: Vec<String> = self.says.iter().map(|says| ours(says)).collect();
        subjects.push(ours("run.events.lost.*"));
        subjects.push(ours(&format!("dead-letter.{}.*", self.name)));
        subjects.extend(self.asks.iter().map(|asks| ours(&format!("ask.{asks}"))));
        subjects.push("$JS.API.INFO".to_owned());
        // Whoever starts first makes the streams and buckets.
        let buckets = BUCKETS.iter().map(|bucket| format!("KV_{}", bucket.name));
        for stream in STREAMS.iter().map(|stream| stream.name.to_owned()).chain(buckets) {
            subjects.extend(["INFO", "CREATE", "UPDATE"].map(|verb| format!("$JS.API.STREAM.{verb}.{stream}")));
        }
        for stream in self.reads {
            let verbs = ["INFO", "CREATE", "DELETE", "MSG.NEXT"];
            subjects.extend(verbs.map(|verb| format!("$JS.API.CONSUMER.{verb}.{stream}.>")));
            // A cursor's consumer has no name until the server gives it one.
            subjects.push(format!("$JS.API.CONSUMER.CREATE.{stream}"));
            subjects.push(format!("$JS.ACK.{stream}.>"));
        }
        for bucket in self.keeps {
            subjects.push(format!("$KV.{bucket}.>"));
            subjects.push(format!("$JS.API.STREAM.MSG.GET.KV_{bucket}"));
            subjects.push(format!("$JS.API.DIRECT.GET.KV_{bucket}.>"));
        }
        subjects
    }

    /// Subjects that it may subscribe to: answers to itself, and commands for it.
    #[must_use]
    pub fn subscribes(&self) -> Vec<String> {
        vec![format!("{}.>", inbox(self.name)), format!("biotope.v1.*.ask.{}.*", self.name)]
    }
}

/// Where answers to a service come: under a name of its own, so that a service cannot listen to what another one is told.
#[must_use]
pub fn inbox(service: &str) -> String {
    format!("_INBOX_{service}")
}

/// The rights of all users as variables of nats-server's configuration language: `$REGISTRY_SCANNER` and so on.
#[must_use]
pub fn permissions_conf() -> String {
    let mut text = String::from("# Made by `make golden` from schemas/src/access.rs: who may do what on the bus.\n");
    for user in USERS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{} = {{", variable(user.name));
        for (verb, subjects) in [("publish", user.publishes()), ("subscribe", user.subscribes())] {
            let _ = writeln!(text, "  {verb}: {{ allow: [");
            for subject in subjects {
                let _ = writeln!(text, "    \"{subject}\"");
            }
            text.push_str("  ] }\n");
        }
        // A rotation may take minutes until every holder is restarted.
        text.push_str("  allow_responses: { max: 1, expires: \"10m\" }\n}\n");
    }
    text
}

/// The rights of a user that reads events, as they come or as they are stored, and says nothing: the variable `$READER`.
#[must_use]
pub fn reader_conf() -> String {
    let mut publishes = vec!["$JS.API.INFO".to_owned(), "$JS.FC.>".to_owned()];
    for stream in ["BIOTOPE_BUILD", "BIOTOPE_EVENTS", "BIOTOPE_INCIDENTS"] {
        publishes.push(format!("$JS.API.STREAM.INFO.{stream}"));
        let verbs = ["INFO", "CREATE", "DELETE", "MSG.NEXT"];
        publishes.extend(verbs.map(|verb| format!("$JS.API.CONSUMER.{verb}.{stream}.>")));
        publishes.push(format!("$JS.API.CONSUMER.CREATE.{stream}"));
        publishes.push(format!("$JS.ACK.{stream}.>"));
    }
    // Commands and what could not be handled are nobody else's.
    format!(
        "\nREADER = {{\n  publish: {{ allow: {publishes:?} }}\n  subscribe: {{ allow: [\"_INBOX.>\", \"_INBOX_reader.>\", \"biotope.v1.>\"], deny: \
         [\"biotope.v1.*.ask.>\", \"biotope.v1.*.dead-letter.>\"] }}\n}}\n"
    )
}

/// The name of a user as a variable: `REGISTRY_SCANNER`.
#[must_use]
pub fn variable(user: &str) -> String {
    user.to_uppercase().replace('-', "_")
}
