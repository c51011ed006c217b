//! `biotope events`: everything that goes over the bus.

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use bus::{Bus, Origin};
use futures::StreamExt as _;

use crate::args::{Connection, Output};
use crate::platform::Addresses;
use crate::print;

/// Prints events as they come.
pub(crate) async fn tail(connection: &Connection, seconds: u64, output: Output) -> anyhow::Result<ExitCode> {
    let addresses = Addresses::read(&connection.folder)?;
    let bus = connect(&addresses).await?;
    let live = bus.live(format!("biotope.v1.{}.>", addresses.cluster)).await?;
    let mut live = pin!(live);
    let end = if seconds == 0 { Duration::from_secs(u64::from(u32::MAX)) } else { Duration::from_secs(seconds) };
    let mut end = pin!(tokio::time::sleep(end));
    loop {
        let next = tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
            () = &mut end => return Ok(ExitCode::SUCCESS),
            next = live.next() => next,
        };
        let Some((subject, payload)) = next else { anyhow::bail!("the connection was closed") };
        match (bus::decode_any(&payload), output) {
            (Ok(event), Output::Json) => print::json_line(&event)?,
            (Ok(event), Output::Table) => print::line(format!(
                "{}  {:<28}  {}",
                event.time,
                event.known_type().map_or(event.event_type.clone(), |known| known.path()),
                about(&event)
            )),
            (Err(error), _) => print::note(format!("{subject}: {error}")),
        }
    }
}

/// A connection for a command.
pub(crate) async fn connect(addresses: &Addresses) -> anyhow::Result<Bus> {
    let (user, password_file) = addresses.bus_user.clone();
    let auth = bus::Auth { user: Some(user), password_file: Some(password_file), ..bus::Auth::default() };
    let servers = vec![addresses.nats.clone()];
    let config = bus::Config { servers, auth, connect_timeout_s: 5, ..bus::Config::default() };
    let origin = Origin {
        cluster: addresses.cluster.parse()?,
        service: "cli".to_owned(),
        instance: std::process::id().to_string(),
        node: None,
    };
    Ok(Bus::connect(&config, origin).await?)
}

fn about(event: &schemas::AnyEvent) -> String {
    let identity = &event.identity;
    let pod = identity.pod_name.clone().or_else(|| identity.pod_uid.as_ref().map(ToString::to_string));
    let parts = [identity.namespace.clone(), pod, identity.image.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
