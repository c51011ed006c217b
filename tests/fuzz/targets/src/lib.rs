//! Bytes into every reader of hostile input. A target never panics and stays inside its budget, whatever the bytes.
//! ```text
//! tests/fuzz/seeds/<target>/*  --replayed and mutated by the test of this crate-->  target   (every `make test`)
//! coverage-guided search       --cargo fuzz run <target>-->                         target   (`make fuzz`, hours)
//! ```

mod policy;
mod rules;
mod scan;
mod secrets;
mod wire;

/// A target: its name, which is also the folder of its seeds, and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 22] = [
    ("advisory", scan::advisory),
    ("analyzers", scan::all_analyzers),
    ("cel", policy::cel),
    ("condition", rules::condition),
    ("constraint", scan::constraint),
    ("database", scan::database),
    ("document", scan::document),
    ("event", wire::event),
    ("incident-rule", rules::incident_rule),
    ("jmespath", policy::jmespath),
    ("kernel-event", runtime_sensor::hostile::read_event),
    ("lock-files", scan::lock_files),
    ("policy", policy::policy),
    ("proc-files", runtime_sensor::hostile::read_proc),
    ("review", policy::review),
    ("rules", rules::rules),
    ("secret-manifest", secrets::manifest),
    ("signature", admission_gateway::hostile::read_signature),
    ("signed-manifest", policy::signed_manifest),
    ("subject", wire::subject),
    ("template", secrets::template),
    ("version", scan::version),
];

/// Runs the target called `name`.
///
/// # Panics
/// When there is no such target, or the target has found something.
#[expect(clippy::panic, reason = "a wrong name is a mistake of whoever builds the fuzzers")]
pub fn run(name: &str, bytes: &[u8]) {
    match TARGETS.iter().find(|(target, _)| *target == name) {
        Some((_, target)) => target(bytes),
        None => panic!("there is no target called {name}"),
    }
}

/// The bytes as text, if they are any, cut at the first NUL into a first part and a rest.
pub(crate) fn parts(bytes: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.split_once('\0').unwrap_or((text, "")))
}
