//! The life of a process.

use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Shown};
use crate::args::Args;
use crate::config::{Configuration, Settings, load};
use crate::context::{Context, Last};
use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::telemetry;

/// Parses the common arguments and runs a service to its end.
pub fn run<C, F, Fut>(service: &'static str, about: &'static str, start: F) -> ExitCode
where
    C: Configuration,
    F: FnOnce(Context, C) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    #[derive(clap::Parser)]
    #[command(version)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }
    let matches = Command::command().name(service).about(about).get_matches();
    match Command::from_arg_matches(&matches) {
        Ok(command) => run_with(service, &command.args, start),
        Err(error) => error.exit(),
    }
}

/// Runs a service to its end with arguments that were parsed already.
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "before logging is up, stderr is where a person looks")]
pub fn run_with<C, F, Fut>(service: &'static str, args: &Args, start: F) -> ExitCode
where
    C: Configuration,
    F: FnOnce(Context, C) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    install_crypto();
    let mut settings = match load::<C>(args.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{service}: bad configuration: {error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if args.node.is_some() {
        settings.node.clone_from(&args.node);
    }
    if args.check_config {
        println!("{service}: configuration is good");
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{service}: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(live(service, settings, start)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let reason = crate::reason(&error);
            tracing::error!(error = reason, "service ends with an error");
            eprintln!("{service}: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Installs the one TLS crypto provider. Must run before any client is built; a second call changes nothing.
pub fn install_crypto() {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::trace!("crypto provider was installed before");
    }
}

async fn live<C, F, Fut>(service: &'static str, settings: Settings<C>, start: F) -> anyhow::Result<()>
where
    C: Configuration,
    F: FnOnce(Context, C) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let guard = telemetry::start(service, &settings.telemetry).context("cannot start logging: check telemetry")?;
    tracing::info!(service, version = env!("CARGO_PKG_VERSION"), cluster = %settings.cluster, "service starts");
    let (failures, mut failed) = mpsc::channel(1);
    let context = context(service, &settings, failures);
    let shown = Shown {
        readiness: context.readiness.clone(),
        metrics: context.metrics.clone(),
        faults: context.faults.clone(),
    };
    // Until the service has named its parts, an empty list of them must not read as ready.
    let starting = context.readiness.part("start");
    let admin_shutdown = CancellationToken::new();
    admin::serve(&settings.admin, shown, admin_shutdown.clone()).await?;
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut signals = Signals { terminate, interrupt };
    let started = tokio::select! {
        started = start(context.clone(), settings.service) => started,
        () = signals.next() => {
            context.shutdown.cancel();
            Ok(())
        }
    };
    if started.is_ok() {
        starting.ready();
    }
    let ended = match started {
        Err(error) => Err(error),
        Ok(()) if context.shutdown.is_cancelled() => Ok(()),
        Ok(()) => tokio::select! {
            () = signals.next() => Ok(()),
            Some(error) = failed.recv() => Err(error),
        },
    };
    tracing::info!("service drains");
    tokio::select! {
        () = drain(&context, Duration::from_secs(settings.shutdown_grace_s)) => {}
        () = signals.next() => {
            tracing::warn!("second signal: the drain is cut short");
            std::process::exit(130);
        }
    }
    admin_shutdown.cancel();
    tracing::info!("service ends");
    guard.flush();
    ended
}

fn context<C>(service: &'static str, settings: &Settings<C>, failures: mpsc::Sender<anyhow::Error>) -> Context {
    let faults = Faults::default();
    // Unique per run: sequence numbers start again with each instance.
    let started = crate::now().as_millis();
    let instance = match &settings.node {
        Some(node) => format!("{node}-{started}"),
        None => format!("{}-{started}", std::process::id()),
    };
    Context {
        shutdown: CancellationToken::new(),
        readiness: Readiness::default(),
        metrics: Metrics::new(service, faults.clone()),
        faults,
        origin: bus::Origin {
            cluster: settings.cluster.clone(),
            service: service.to_owned(),
            instance,
            node: settings.node.clone(),
        },
        bus_config: settings.bus.clone(),
        tasks: TaskTracker::new(),
        failures,
        last: Arc::new(Mutex::new(Last::default())),
    }
}

/// Readiness off, stop taking work, finish what is in hand, flush the publishers, close nats.
async fn drain(context: &Context, grace: Duration) {
    context.readiness.part("shutdown").waiting("draining");
    context.shutdown.cancel();
    context.tasks.close();
    if tokio::time::timeout(grace, context.tasks.wait()).await.is_err() {
        tracing::warn!(grace_s = grace.as_secs(), "work in hand was not finished in time");
    }
    let last = std::mem::take(&mut *context.last.lock().unwrap_or_else(PoisonError::into_inner));
    for publisher in last.publishers {
        if !publisher.flush(grace).await {
            tracing::warn!(waiting = publisher.losses().waiting(), "events were not published before the end");
        }
    }
    for bus in last.buses {
        bus.close().await;
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// `EX_USAGE` of sysexits(3).
const BAD_CONFIGURATION: u8 = 64;
