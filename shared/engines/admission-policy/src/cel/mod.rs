//! Policies written in CEL: the kinds of `policies.kyverno.io`, the admission policies of Kubernetes itself, and
//! `validate.cel` rules.
//!
//! ```text
//! manifest --compile--> CelPolicy { specs: the policy's own, then those for pod controllers }
//! CelPolicy + Input --judge--> Answer per spec that matches
//! ```
//!
//! Expressions see a [`scope::Scope`]: the request and its objects, lazy variables, and Kyverno's libraries, whose answers
//! are facts of the snapshot. A missing fact ends the expression in an error and is reported.

mod audit;
mod authorize;
mod authorizer;
mod autogen;
mod compile;
mod constraints;
pub(crate) mod deletion;
mod demands;
mod exception;
mod existing;
mod explain;
mod http;
mod images;
mod judge;
mod library;
mod lookup;
mod merge;
mod mutate;
mod params;
mod policy;
mod scope;
mod template;
mod verify;

pub(crate) use audit::add as annotate;
pub use authorize::AuthorizationKind;
pub(crate) use compile::{CelCompiler, compile_conditions, compile_rule};
pub(crate) use exception::CelException;
pub(crate) use explain::{explain, explain_conditions};
pub(crate) use judge::{Input, Views, conditions_hold, judge, judge_rule};
pub(crate) use policy::{Binding, CelCheck, CelKind, CelPolicy, CelRule, EvaluationMode};
pub(crate) use verify::Required;
