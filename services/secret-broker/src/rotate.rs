//! `ask.secret-broker.rotate`.

use bus::{Bus, Request};
use schemas::ask::{AskError, RotateRequest};
use secret_sync::Event;
use service::Context;
use tokio::sync::mpsc::Sender;

/// Answers the command. Making a new version at the store is not built; the request makes the broker look at once, so that a version
/// that somebody else made is handed out without delay.
pub(crate) fn answer(context: &Context, bus: &Bus, events: Sender<Event>) {
    let (shutdown, bus) = (context.shutdown.clone(), bus.clone());
    context.spawn(async move {
        let mut asked = match bus.asked("rotate").await {
            Ok(asked) => asked,
            Err(error) => return tracing::error!(%error, "commands cannot be heard"),
        };
        loop {
            let request = tokio::select! {
                () = shutdown.cancelled() => return,
                request = asked.next() => request,
            };
            let Some(request) = request else { return };
            refuse(request, &events).await;
        }
    });
}

async fn refuse(request: Request, events: &Sender<Event>) {
    let Ok(wanted) = request.decode::<RotateRequest>() else {
        let (message, remedy) = ("the command is not understood".to_owned(), "send `store` and `path`".to_owned());
        return request.refuse(AskError { message, remedy, retryable: false }).await;
    };
    if let Ok(store) = wanted.store.parse() {
        // A pipeline that has ended needs no event.
        let _ = events.send(Event::Changed { store, path: wanted.path.clone() }).await;
    }
    let message = format!("unsupported: making a new version of `{}` at {}", wanted.path, wanted.store);
    let remedy = "write the new version at the store; the broker looks at it now and hands it out".to_owned();
    request.refuse(AskError { message, remedy, retryable: false }).await;
}
