//! One child process, ended by its id.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running child with its log. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both of its outputs appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be made or the program cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self, ProcessError> {
        let cannot = |source| ProcessError::Start { name: name.to_owned(), source };
        let file: File = OpenOptions::new().create(true).append(true).open(log).map_err(cannot)?;
        let copy = file.try_clone().map_err(cannot)?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn().map_err(cannot)?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it logs.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it at once (SIGKILL) and waits.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        // The child is gone either way; its status is nobody's concern.
        let _ = self.child.wait();
    }

    /// Asks it to read its configuration and certificates again (SIGHUP).
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Ends it as a fault would (SIGABRT), with a core file where the system writes one, and waits.
    pub fn abort(&mut self) {
        self.signal(Signal::ABORT);
        // The child is gone either way; its status is nobody's concern.
        let _ = self.child.wait();
    }

    /// Stops it without ending it (SIGSTOP).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to end, waits up to `grace`, then ends it. Returns its status.
    pub fn stop(&mut self, grace: Duration) -> Option<ExitStatus> {
        self.terminate();
        self.wait(grace)
    }

    /// Waits up to `grace` for it to end, then ends it. Returns its status.
    pub fn wait(&mut self, grace: Duration) -> Option<ExitStatus> {
        wait_until(grace, || self.child.try_wait().ok().flatten()).or_else(|| {
            self.kill();
            None
        })
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended by itself.
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.stop(Duration::from_secs(5));
        }
    }
}

/// Tries `probe` every 10 ms until it gives something or `limit` has passed.
pub fn wait_until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A loopback port that was free just now.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A process cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Its program or its log.
    #[error("cannot start {name}")]
    Start {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
