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

mod autogen;
mod compile;
mod constraints;
mod exception;
mod judge;
mod library;
mod lookup;
mod merge;
mod policy;
mod scope;

pub(crate) use compile::{CelCompiler, compile_rule};
pub(crate) use exception::CelException;
pub(crate) use judge::{Input, judge, judge_rule};
pub(crate) use policy::{Binding, CelPolicy, CelRule};
