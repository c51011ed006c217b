//! The documented example of an external reader, in Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::parts::{Process, wait_until};
use testkit::require;

/// Starts the example where its packages are installed; it prints to `heard` in the folder.
pub(crate) fn start(nats: &str, folder: &Path, arguments: &[&str]) -> Option<Process> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"), PathBuf::from);
    let python = cache.join("biotope/tools/python/bin/python3");
    if !python.exists() {
        require::skip("python", "the example subscriber's packages are not installed: run `make tools`");
        return None;
    }
    let example = testkit::corpus::workspace_root().join("docs/examples/subscribe.py");
    let mut command = Command::new(python);
    command.arg(example).arg(nats).args(arguments);
    let process = Process::start("subscriber", &mut command, &folder.join("heard")).unwrap();
    wait_until(Duration::from_secs(20), || {
        fs::read_to_string(folder.join("heard")).ok().filter(|text| text.contains("subscribed"))
    })
    .expect("it subscribes");
    Some(process)
}
