//! `ask.secret-broker.rotate`: a new version at the store, then in the targets, then in the pods that held the one before.

use std::collections::BTreeSet;
use std::time::Duration;

use bus::{Bus, Request};
use schemas::ask::{AskError, RotateReply, RotateRequest};
use secret_sync::{FetchKey, FetchProblem, Machine, StoreRef};
use service::Context;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;

use crate::cluster::Leading;
use crate::holders::{Holder, Holders};
use crate::provider::{Made, Providers};

/// A command that is understood.
#[derive(Debug)]
pub(crate) struct Command {
    request: Request,
    store: StoreRef,
    path: String,
    reason: String,
}

/// Hands commands to the pipeline, as long as this broker leads.
pub(crate) fn listen(context: &Context, bus: &Bus, (commands, mut leading): (Sender<Command>, Leading)) {
    let (shutdown, bus) = (context.shutdown.clone(), bus.clone());
    context.spawn(async move {
        loop {
            let is_over = tokio::select! {
                () = shutdown.cancelled() => true,
                led = leading.wait_for(|is_leading| *is_leading) => led.is_err(),
            };
            if is_over {
                return;
            }
            let mut asked = match bus.asked("rotate").await {
                Ok(asked) => asked,
                Err(error) => return tracing::error!(%error, "commands cannot be heard"),
            };
            loop {
                let request = tokio::select! {
                    () = shutdown.cancelled() => return,
                    // Another leads, or nobody tells any more who leads.
                    Ok(_) = leading.wait_for(|is_leading| !*is_leading) => break,
                    request = asked.next() => request,
                };
                let Some(request) = request else { return };
                if let Some(command) = understood(request).await {
                    // A pipeline that has ended answers nobody.
                    let _ = commands.send(command).await;
                }
            }
        }
    });
}

async fn understood(request: Request) -> Option<Command> {
    let wanted = request.decode::<RotateRequest>().ok();
    let wanted = wanted.and_then(|wanted| Some((wanted.store.parse().ok()?, wanted)));
    let Some((store, wanted)) = wanted else {
        let message = "the command is not understood".to_owned();
        let remedy = "send `store`, as `SecretStore NAMESPACE/NAME`, and `path`".to_owned();
        request.refuse(AskError { message, remedy, retryable: false }).await;
        return None;
    };
    Some(Command { request, store, path: wanted.path, reason: wanted.reason })
}

/// Rotations on their way.
#[derive(Debug)]
pub(crate) struct Rotations {
    made: Sender<(Command, Result<Made, FetchProblem>)>,
    done: Receiver<(Command, Result<Made, FetchProblem>)>,
    waiting: Vec<Waiting>,
}

/// A version that was made and is not everywhere yet.
#[derive(Debug)]
struct Waiting {
    command: Command,
    made: Made,
    targets: BTreeSet<(String, String)>,
    late: BTreeSet<(String, String)>,
    holders: Vec<Holder>,
    until: Instant,
}

/// A rotation whose targets are written: what is left is to restart who holds the version before, and to answer.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Who asked.
    pub(crate) request: Request,
    /// The answer, without its holders.
    pub(crate) reply: RotateReply,
    /// Who held the version before.
    pub(crate) holders: Vec<Holder>,
}

impl Rotations {
    pub(crate) fn new() -> Self {
        let (made, done) = tokio::sync::mpsc::channel(COMMANDS);
        Self { made, done, waiting: Vec::new() }
    }

    /// Has the store make a new version.
    pub(crate) fn begin(&self, context: &Context, command: Command, providers: &Providers) {
        let (provider, made) = (providers.find(&command.store), self.made.clone());
        tracing::info!(store = %command.store, path = command.path, reason = command.reason, "rotation was asked for");
        context.spawn(async move {
            let key = FetchKey { store: command.store.clone(), path: command.path.clone(), version: None };
            let outcome = match provider {
                Some(provider) => provider.rotate(&key).await,
                None => Err(FetchProblem {
                    what: format!("store `{}` is not there", command.store),
                    remedy: "add its manifest, or correct the name".to_owned(),
                    is_check_refused: false,
                }),
            };
            // A pipeline that has ended answers nobody.
            let _ = made.send((command, outcome)).await;
        });
    }

    /// The next version that was made, or was not.
    pub(crate) async fn next(&mut self) -> Option<(Command, Result<Made, FetchProblem>)> {
        self.done.recv().await
    }

    /// Notes who has to get the new version, and who holds the one before; gives where to look for it.
    pub(crate) fn made(
        &mut self,
        command: Command,
        made: Made,
        (machine, holders): (&Machine, &Holders),
    ) -> (StoreRef, String) {
        let is_source = |(_, place): &(&str, (&str, &str))| version_of(machine, *place, &command).is_some();
        let own = |(_, (namespace, name)): (&str, (&str, &str))| (namespace.to_owned(), name.to_owned());
        let targets: BTreeSet<(String, String)> = machine.targets().filter(is_source).map(own).collect();
        let holders = targets.iter().flat_map(|(namespace, name)| holders.of(namespace, name)).collect();
        let place = (command.store.clone(), command.path.clone());
        let (late, until) = (targets.clone(), Instant::now() + PATIENCE);
        self.waiting.push(Waiting { command, made, targets, late, holders, until });
        place
    }

    /// Rotations whose targets all have the new version, or do not get it in time.
    pub(crate) fn finished(&mut self, machine: &Machine) -> Vec<Finished> {
        for waiting in &mut self.waiting {
            let (command, before) = (&waiting.command, &waiting.made.previous);
            waiting.late.retain(|(namespace, name)| {
                version_of(machine, (namespace, name), command).is_some_and(|version| version == *before)
            });
        }
        let is_done = |waiting: &mut Waiting| waiting.late.is_empty() || Instant::now() >= waiting.until;
        self.waiting.extract_if(.., is_done).map(Waiting::finish).collect()
    }
}

impl Waiting {
    fn finish(self) -> Finished {
        let name = |(namespace, name): &(String, String)| format!("{namespace}/{name}");
        let reply = RotateReply {
            previous: self.made.previous,
            version: self.made.version,
            keys: self.made.keys,
            targets: self.targets.difference(&self.late).map(name).collect(),
            late: self.late.iter().map(name).collect(),
            holders: Vec::new(),
        };
        // Who waits for a target that is late would only start with the old version again.
        let is_served = |holder: &Holder| !self.late.contains(&(holder.namespace.clone(), holder.target.clone()));
        let holders = self.holders.into_iter().filter(is_served).collect();
        Finished { request: self.command.request, reply, holders }
    }
}

impl Command {
    /// Says why there is no new version.
    pub(crate) async fn refuse(self, problem: FetchProblem) {
        let is_lasting = problem.what.contains("unsupported");
        let error = AskError { message: problem.what, remedy: problem.remedy, retryable: !is_lasting };
        self.request.refuse(error).await;
    }
}

/// The version of what a command names, as a target has it.
fn version_of(machine: &Machine, (namespace, name): (&str, &str), command: &Command) -> Option<String> {
    let sources = machine.sources_of(namespace, name)?;
    let store = command.store.to_string();
    let is_it = |source: &&model::SecretRef| source.store == store && source.path == command.path;
    sources.iter().find(is_it).map(|source| source.version.clone())
}

/// Commands that may wait.
pub(crate) const COMMANDS: usize = 32;
/// How long targets may take to get the new version.
const PATIENCE: Duration = Duration::from_secs(15);
