//! Channels of this machine: standard output, a file, a program, the system log.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::{Channel, Notice};
use crate::config::{FileOutput, ProgramOutput};

/// Lines to a writer.
pub(super) struct Lines<W: Write> {
    out: BufWriter<W>,
    is_buffered: bool,
}

/// Lines to standard output, for as long as somebody reads them.
pub(super) struct Printed {
    lines: Lines<std::io::Stdout>,
    reader_gone: CancellationToken,
}

impl Printed {
    pub(super) fn new(is_buffered: bool, reader_gone: CancellationToken) -> Self {
        Self { lines: Lines { out: BufWriter::new(std::io::stdout()), is_buffered }, reader_gone }
    }

    fn watched(&self, done: anyhow::Result<()>) -> anyhow::Result<()> {
        let is_gone = |error: &anyhow::Error| {
            error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
        };
        if done.as_ref().is_err_and(is_gone) {
            self.reader_gone.cancel();
        }
        done
    }
}

impl Channel for Printed {
    fn write(&mut self, notice: &Notice) -> anyhow::Result<()> {
        let done = self.lines.write(notice);
        self.watched(done)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let done = self.lines.flush();
        self.watched(done)
    }
}

impl<W: Write + Send> Channel for Lines<W> {
    fn write(&mut self, notice: &Notice) -> anyhow::Result<()> {
        self.out.write_all(notice.line.as_bytes())?;
        self.out.write_all(b"\n")?;
        if self.is_buffered { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Lines at the end of a file.
pub(super) struct Appended {
    path: PathBuf,
    /// `None` when it is opened for each alert.
    open: Option<Lines<File>>,
}

impl Appended {
    pub(super) fn open(config: &FileOutput, is_buffered: bool) -> anyhow::Result<Self> {
        let path = config.filename.clone();
        let file = append(&path)?;
        let open = config.keep_alive.then(|| Lines { out: BufWriter::new(file), is_buffered });
        Ok(Self { path, open })
    }
}

fn append(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("alerts.file_output: cannot write {}", path.display()))
}

impl Channel for Appended {
    fn write(&mut self, notice: &Notice) -> anyhow::Result<()> {
        match &mut self.open {
            Some(lines) => lines.write(notice),
            None => Ok(append(&self.path)?.write_all(format!("{}\n", notice.line).as_bytes())?),
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.open.as_mut().map_or(Ok(()), Lines::flush)
    }
}

/// Lines into a program.
pub(super) struct Piped {
    program: String,
    keep_alive: bool,
    is_buffered: bool,
    running: Option<(Child, Lines<ChildStdin>)>,
}

impl Piped {
    pub(super) fn to(config: &ProgramOutput, is_buffered: bool) -> Self {
        Self { program: config.program.clone(), keep_alive: config.keep_alive, is_buffered, running: None }
    }

    fn start(&self) -> anyhow::Result<(Child, Lines<ChildStdin>)> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&self.program).stdin(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start `{}`", self.program))?;
        let input = child.stdin.take().context("the program has no input")?;
        Ok((child, Lines { out: BufWriter::new(input), is_buffered: self.is_buffered && self.keep_alive }))
    }

    /// Closes the program's input and waits for its end.
    fn finish(&mut self) -> anyhow::Result<()> {
        let Some((mut child, lines)) = self.running.take() else { return Ok(()) };
        drop(lines);
        let status = child.wait()?;
        anyhow::ensure!(status.success(), "`{}` ended with {status}", self.program);
        Ok(())
    }
}

impl Channel for Piped {
    fn write(&mut self, notice: &Notice) -> anyhow::Result<()> {
        let (child, mut lines) = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        let written = lines.write(notice);
        self.running = Some((child, lines));
        // What a program does not take is lost; the next alert starts it anew.
        if written.is_err() || !self.keep_alive {
            self.finish()?;
        }
        written
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.running.as_mut().map_or(Ok(()), |(_, lines)| lines.flush())
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::error!(error = format!("{error:#}"), "the program that alerts go to failed");
        }
    }
}

/// Datagrams to syslog(3)'s socket.
pub(super) struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Syslog {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(std::time::Duration::from_secs(2)))?;
        Ok(Self { socket, path: path.to_owned() })
    }
}

impl Channel for Syslog {
    fn write(&mut self, notice: &Notice) -> anyhow::Result<()> {
        let level = notice.priority() as u32;
        let line = format!("<{}>biotope[{}]: {}", USER | level, std::process::id(), notice.line);
        // By path each time, so that a log that was started anew is found.
        let sent = self.socket.send_to(line.as_bytes(), &self.path);
        sent.map(drop).with_context(|| format!("the system log at {} does not take it", self.path.display()))
    }
}

/// Facility `user` of syslog(3).
const USER: u32 = 1 << 3;
