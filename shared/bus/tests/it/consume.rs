//! One mapping from result to disposition; poison goes aside and the rest flows.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Disposed, Disposition, From, Subscription};
use testkit::parts;
use tokio_util::sync::CancellationToken;

use crate::{connect, publish_all};

#[derive(Debug)]
enum Fault {
    Later,
    Never,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Disposed for Fault {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Later => Disposition::Retry { after: Duration::from_millis(10) },
            Self::Never => Disposition::Park { reason: "never".to_owned() },
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_parked_and_the_rest_flows() {
    let Some(nats) = parts::nats() else { return };
    let bus = connect(&nats).await;
    let publisher = bus.publisher().unwrap();
    publish_all(&publisher, 0..2).await;
    assert!(publisher.flush(Duration::from_secs(10)).await);
    poison(&nats.url()).await;
    publish_all(&publisher, 2..5).await;
    assert!(publisher.flush(Duration::from_secs(10)).await);
    let subscription = Subscription {
        stream: "BIOTOPE_EVENTS",
        durable: "tester".to_owned(),
        filters: Vec::new(),
        max_attempts: 3,
        ack_wait: Duration::from_secs(5),
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shutdown = CancellationToken::new();
    let (log, stop) = (seen.clone(), shutdown.clone());
    let consumed = bus.consume(&subscription, &shutdown, move |delivery| {
        let image = delivery.event.data["image"].as_str().unwrap().to_owned();
        log.lock().unwrap().push((image.clone(), delivery.attempt));
        let is_last = image == "1" && delivery.attempt == 3;
        let stop = stop.clone();
        async move {
            if is_last {
                stop.cancel();
            }
            match image.as_str() {
                "1" => Err(Fault::Later),
                "3" => Err(Fault::Never),
                _ => Ok(()),
            }
        }
    });
    tokio::time::timeout(Duration::from_secs(30), consumed).await.unwrap().unwrap();
    let seen = seen.lock().unwrap().clone();
    let attempts = |image: &str| seen.iter().filter(|(seen, _)| seen == image).count();
    assert_eq!(
        (attempts("0"), attempts("1"), attempts("2"), attempts("3"), attempts("4")),
        (1, 3, 1, 1, 1),
        "{seen:?}"
    );
    let mut letters = bus.cursor("BIOTOPE_DEAD_LETTERS", From::Beginning, Vec::new());
    let mut parked = Vec::new();
    while parked.len() < 3 {
        let batch = letters.next_batch(10, Duration::from_secs(5)).await;
        assert!(!batch.is_empty(), "three dead letters, not {parked:?}");
        parked.extend(batch.into_iter().map(|letter| (letter.subject, letter.payload)));
    }
    let reasons: Vec<&str> = parked.iter().map(|(subject, _)| subject.rsplit('.').next().unwrap()).collect();
    assert_eq!(reasons, ["truncated", "never", "attempts-exhausted"]);
    assert_eq!(parked[0].1.as_ref(), b"\xd9", "the original bytes");
}

/// Publishes bytes that are no event, as a broken client would.
async fn poison(url: &str) {
    let mut socket = tokio::net::TcpStream::connect(url.trim_start_matches("nats://")).await.unwrap();
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let message = b"CONNECT {\"verbose\":false}\r\nPUB biotope.v1.test.run.rule.matched.pod-1 1\r\n\xd9\r\nPING\r\n";
    socket.write_all(message).await.unwrap();
    let mut answer = [0; 4096];
    let mut heard = Vec::new();
    while !heard.windows(4).any(|window| window == b"PONG") {
        let count = socket.read(&mut answer).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&answer[..count]);
    }
}
