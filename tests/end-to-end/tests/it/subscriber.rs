//! The documented examples of an external reader, in Python and in Go.

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

/// Builds the example in Go, where there is a Go.
pub(crate) fn build_go(folder: &Path) -> Option<PathBuf> {
    let own = testkit::parts::tools_folder().join("go-1/bin/go");
    let go = if own.exists() { own } else { PathBuf::from("go") };
    let mut build = Command::new(go);
    build.current_dir(testkit::corpus::workspace_root().join("docs/examples/go"));
    let program = folder.join("subscribe");
    build.args(["build", "-o"]).arg(&program).arg(".").env("GOFLAGS", "-mod=readonly").env("CGO_ENABLED", "0");
    match build.output() {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => panic!("the example in Go does not build: {}", crate::said(&output)),
        Err(error) => {
            require::skip("go", &format!("no Go is installed: {error}"));
            None
        }
    }
}

/// Starts the example in Go; it prints to `heard-go` in the folder.
pub(crate) fn start_go(program: &Path, nats: &str, folder: &Path) -> Process {
    let mut command = Command::new(program);
    command.args(["-stored", "-json", nats]);
    let process = Process::start("subscriber-go", &mut command, &folder.join("heard-go")).unwrap();
    wait_until(Duration::from_secs(20), || {
        fs::read_to_string(folder.join("heard-go")).ok().filter(|text| text.contains("subscribed"))
    })
    .expect("it subscribes");
    process
}
