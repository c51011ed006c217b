//! A proxy in front of a real server, which does to its answers what networks and busy servers do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is answered by the server.
    None,
    /// It is answered with this status and these headers, and does not reach the server.
    Status(u16, &'static str),
    /// It is answered by the server, after this time.
    Slow(Duration),
    /// The line breaks in the middle of the answer.
    Cut,
    /// Nobody listens.
    Refuse,
    /// It is sent to the same path of this server.
    Redirect(String),
    /// It is answered by the server, with this header in addition; the server does not get it back.
    Header(&'static str),
}

/// The proxy. It ends with the test.
pub(crate) struct Proxy {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

struct State {
    fault: Fault,
    /// When requests came, with their heads.
    asked: Vec<(Instant, String)>,
    /// Lines that are open, for those that are passed on byte by byte.
    open: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy for a server that speaks HTTP, each request on its own.
    pub(crate) fn http(server: &str) -> Self {
        Self::start(server, "http", |stream, server, state| {
            let _ = request(stream, server, state);
        })
    }

    /// A proxy that passes bytes on and can cut lines: for TLS.
    pub(crate) fn bytes(server: &str) -> Self {
        Self::start(server, "https", |stream, server, state| {
            let _ = pass(stream, server, state);
        })
    }

    fn start(
        server: &str,
        scheme: &str,
        serve: impl Fn(TcpStream, &str, &Mutex<State>) + Copy + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let server = server.split_once("://").map_or(server, |(_, rest)| rest).to_owned();
        let state = Arc::new(Mutex::new(State { fault: Fault::None, asked: Vec::new(), open: Vec::new() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, state) = (server.clone(), shared.clone());
                std::thread::spawn(move || serve(stream, &server, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// Ends all lines that are open.
    pub(crate) fn cut(&self) {
        for stream in self.state.lock().unwrap().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// When requests came since `since`.
    pub(crate) fn asked(&self, since: Instant) -> Vec<(Duration, String)> {
        let state = self.state.lock().unwrap();
        let later = state.asked.iter().filter(|(at, _)| *at >= since);
        later.map(|(at, head)| (at.duration_since(since), head.lines().next().unwrap_or_default().to_owned())).collect()
    }

    /// The heads of all requests, in small letters.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.iter().map(|(_, head)| head.to_lowercase()).collect()
    }
}

/// Takes one request, and answers it or has it answered.
fn request(mut stream: TcpStream, server: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let whole = read_request(&mut stream)?;
    let text = String::from_utf8_lossy(&whole).into_owned();
    let fault = {
        let mut state = state.lock().unwrap();
        state.asked.push((Instant::now(), text.split("\r\n\r\n").next().unwrap_or_default().to_owned()));
        state.fault.clone()
    };
    match fault {
        Fault::Refuse => return Ok(()),
        Fault::Status(status, headers) => {
            let body = r#"{"errors":["the proxy says no"]}"#;
            let length = body.len();
            return write!(
                stream,
                "HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
        Fault::Redirect(server) => {
            let path = text.split(' ').nth(1).unwrap_or_default();
            return write!(
                stream,
                "HTTP/1.1 307 x\r\nlocation: {server}{path}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
        }
        Fault::Slow(wait) => std::thread::sleep(wait),
        Fault::None | Fault::Cut | Fault::Header(_) => {}
    }
    // One request to a line: the server closes it behind its answer.
    let whole = match fault {
        Fault::Header(header) => without(&whole, header.split(':').next().unwrap_or_default()),
        _ => whole,
    };
    let (head, body) = whole.split_at(text.find("\r\n").unwrap_or(0) + 2);
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(&[head, b"connection: close\r\n", body].concat())?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    if matches!(fault, Fault::Cut) {
        answer.truncate(answer.len().saturating_sub(20));
    }
    if let Fault::Header(header) = fault {
        let end = answer.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
        let (first, rest) = answer.split_at(end);
        return stream.write_all(&[first, header.as_bytes(), b"\r\n", rest].concat());
    }
    stream.write_all(&answer)
}

/// A request without one of its headers.
fn without(request: &[u8], header: &str) -> Vec<u8> {
    let end = request.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(request.len());
    let (head, body) = request.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let is_other = |line: &&str| !line.to_lowercase().starts_with(&format!("{}:", header.to_lowercase()));
    let kept: Vec<&str> = head.split("\r\n").filter(is_other).collect();
    [kept.join("\r\n").as_bytes(), body].concat()
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let (mut request, mut chunk) = (Vec::new(), [0_u8; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(request);
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
}

fn pass(stream: TcpStream, server: &str, state: &Mutex<State>) -> std::io::Result<()> {
    if matches!(state.lock().unwrap().fault, Fault::Refuse) {
        return Ok(());
    }
    let upstream = TcpStream::connect(server)?;
    {
        let mut state = state.lock().unwrap();
        state.asked.push((Instant::now(), String::new()));
        state.open.extend([stream.try_clone()?, upstream.try_clone()?]);
    }
    let (mut from, mut to) = (stream.try_clone()?, upstream.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (upstream, stream);
    std::io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}
