//! Policies on resources without a cluster: what `apply` and `explain` of the command line do. Everything that a test file
//! may name, given directly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Fault, Timestamp};
use serde_json::{Map, Value, json};

use super::Files;
use super::TestReport;
use super::format::Test;
use super::run::Runner;
use super::session::{Session, Surroundings};
use crate::explain::Explanation;
use crate::outcome::RuleVerdict;

/// Policies, resources and the world around them, as paths of files and folders.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Policies; exceptions among them count.
    pub policies: Vec<String>,
    /// Resources to judge.
    pub resources: Vec<String>,
    /// PolicyExceptions.
    pub exceptions: Vec<String>,
    /// Existing objects that mutations may change and policies may look up.
    pub targets: Vec<String>,
    /// Parameters of admission policies.
    pub parameters: Vec<String>,
    /// JSON payloads.
    pub json: Vec<String>,
    /// HTTP requests to authorize.
    pub http: Vec<String>,
    /// Envoy's check requests to authorize.
    pub envoy: Vec<String>,
    /// A `kind: Values` file; empty for none.
    pub values_file: String,
    /// Variables for every policy.
    pub variables: Vec<(String, Value)>,
    /// A `kind: UserInfo` file; empty for none.
    pub user_info: String,
    /// A `kind: Context` file; empty for none.
    pub context: String,
    /// The operation asked for; empty for CREATE or what the values say.
    pub operation: String,
    /// What time it is; without, policies that ask for it see the year 1970.
    pub now: Option<Timestamp>,
}

/// What one policy answered about one resource.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The policy's name.
    pub policy: String,
    /// The file of a JSON payload.
    pub payload: Option<String>,
    /// The resource; null for a request of another protocol.
    pub resource: Arc<Value>,
    /// The resource after the policy.
    pub patched: Arc<Value>,
    /// One verdict for each rule that applied.
    pub verdicts: Vec<RuleVerdict>,
}

/// Why the rules of the policies are about one resource, or not.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The resource.
    pub resource: Value,
    /// One explanation for each rule.
    pub rules: Vec<Explanation>,
}

impl Given {
    /// Judges every resource by every policy, as `test` would, in the order of the stages.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn apply(&self, files: &dyn Files) -> Result<(Vec<Answer>, Vec<Fault>), String> {
        let (mut session, faults) = self.begin(files, None)?;
        Ok((session.judge_given()?, faults))
    }

    /// Loads what is given, to judge by it. With a cluster there is more to ask than the files: what they do not have is
    /// [missing](crate::MissingFact), and gathered.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn begin<'f>(
        &self,
        files: &'f dyn Files,
        cluster: Option<&'f Surroundings>,
    ) -> Result<(Session<'f>, Vec<Fault>), String> {
        let mut runner = self.runner(files)?;
        if let Some(cluster) = cluster {
            runner.beside = &cluster.manifests;
        }
        let mut report = report();
        let loaded = runner.load(&mut report)?;
        if loaded.set.names().is_empty() && report.faults.is_empty() {
            return Err("none of the given files holds a policy".to_owned());
        }
        Ok((Session::new(runner, (loaded, cluster), &self.operation), report.faults))
    }

    /// Explains every rule for every resource.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn explain(&self, files: &dyn Files) -> Result<(Vec<Explained>, Vec<Fault>), String> {
        let runner = self.runner(files)?;
        let mut report = report();
        let mut loaded = runner.load(&mut report)?;
        let keys: BTreeSet<String> = loaded.set.summaries().into_iter().map(|policy| policy.name).collect();
        let mut out = Vec::new();
        for judged in std::mem::take(&mut loaded.resources) {
            let resource = judged.object;
            // Policies for which the same values count are explained together.
            let mut alike: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
            let name = resource.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            for key in &keys {
                let values = Value::Object(loaded.values.variables(key, name)).to_string();
                alike.entry(values).or_default().insert(key);
            }
            let mut rules = Vec::new();
            for members in alike.values() {
                let Some(first) = members.first() else { continue };
                let request = runner.request(&mut loaded, (first, &self.operation), &resource);
                rules.extend(runner.explain(&mut loaded, &request, members));
            }
            if alike.len() > 1 {
                let order = loaded.set.order();
                rules.sort_by_key(|rule| order.get(&rule.policy).copied());
            }
            out.push(Explained { resource, rules });
        }
        Ok((out, report.faults))
    }

    fn runner<'f>(&self, files: &'f dyn Files) -> Result<Runner<'f>, String> {
        let mut test = Test::parse(&json!({
            "policies": self.policies, "resources": self.resources, "exceptions": self.exceptions,
            "targetResources": self.targets, "paramResources": self.parameters, "jsonPayloads": self.json,
            "httpPayloads": self.http, "envoyPayloads": self.envoy, "variables": self.values_file,
            "userInfo": self.user_info, "context": self.context,
        }))
        .map_err(|(_, what)| what)?;
        if !self.variables.is_empty() {
            let mut runner = Runner { spares: true, ..Runner::new("", files, test) };
            let mut values = runner.values()?;
            let globals: Map<String, Value> = self.variables.iter().cloned().collect();
            values.add_globals(globals);
            runner.test.values = Some(values.into_raw());
            test = runner.test;
        }
        Ok(Runner { spares: true, now: self.now, ..Runner::new("", files, test) })
    }
}

fn report() -> TestReport {
    TestReport { path: String::new(), name: String::new(), error: None, faults: Vec::new(), rows: Vec::new() }
}
