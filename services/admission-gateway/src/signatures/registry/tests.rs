use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use axum::{Router, body};
use registry_logins::Login;

use super::{MAX_REQUESTS, ReadError, Registry};
use crate::signatures::logins::{Logins, PullSecrets};

/// What the authority was asked for.
type Asked = Arc<Mutex<Vec<String>>>;

/// A registry that wants a token of its authority, which is at the same address.
async fn registry(asked: Asked) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let realm = format!("Bearer realm=\"http://{address}/token\",service=\"here\",scope=\"repository:app:pull\"");
    let answer = move |request: Request| {
        let (asked, realm) = (asked.clone(), realm.clone());
        async move { answered(request, (&asked, &realm)).await }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    address
}

async fn answered(request: Request, (asked, realm): (&Asked, &str)) -> Response {
    let said = |headers: &HeaderMap| {
        headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/token" {
        let body = body::to_bytes(body, 10_000).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let query = parts.uri.query().unwrap_or_default();
        let line = format!("{} {query} {} {body}", parts.method, said(&parts.headers));
        asked.lock().unwrap().push(line);
        return r#"{"token": "let-me-in"}"#.into_response();
    }
    match said(&parts.headers).as_str() {
        "Bearer let-me-in" => r#"{"schemaVersion": 2}"#.into_response(),
        _ => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, realm.to_owned())]).into_response(),
    }
}

async fn read_as(login: Option<Login>) -> (Result<(), ReadError>, Vec<String>) {
    service::install_crypto();
    let asked = Asked::default();
    let address = registry(asked.clone()).await;
    let registry = Registry::new(vec![address.clone()], Logins::default()).unwrap();
    let image = format!("{address}/app:1").parse().unwrap();
    let access = Default::default();
    let mut repository = registry.repository(&image, (&access, &PullSecrets::default())).await;
    repository.login = login;
    let first = repository.manifest("1").await.map(drop);
    // The token is kept.
    let second = repository.manifest("1").await.map(drop);
    (first.and(second), asked.lock().unwrap().clone())
}

#[tokio::test]
async fn tokens_are_asked_for_by_every_kind_of_login() {
    let scope = "scope=repository%3Aapp%3Apull&service=here";
    let basic = Login::Basic { user: "robot".to_owned(), password: "secret".into() };
    for (login, expected) in [
        (None, format!("GET {scope}  ")),
        (Some(basic), format!("GET {scope} Basic cm9ib3Q6c2VjcmV0 ")),
        (
            Some(Login::Identity("i&d".into())),
            format!("POST   {scope}&grant_type=refresh_token&client_id=biotope&refresh_token=i%26d"),
        ),
    ] {
        let (read, asked) = read_as(login).await;
        read.unwrap();
        assert_eq!(asked, [expected]);
    }
    // A token for the registry itself needs no other.
    let (read, asked) = read_as(Some(Login::Bearer("let-me-in".into()))).await;
    read.unwrap();
    assert!(asked.is_empty());
    let (read, _) = read_as(Some(Login::Bearer("hunter2".into()))).await;
    let why = read.unwrap_err().to_string();
    assert!(why.contains("401") && why.contains("the login that there is") && !why.contains("hunter2"), "{why}");
}

#[tokio::test]
async fn one_image_costs_a_bounded_number_of_requests() {
    service::install_crypto();
    let address = registry(Asked::default()).await;
    let registry = Registry::new(vec![address.clone()], Logins::default()).unwrap();
    let image = format!("{address}/app:1").parse().unwrap();
    let access = Default::default();
    let repository = registry.repository(&image, (&access, &PullSecrets::default())).await;
    let mut last = Ok(());
    for _ in 0..=MAX_REQUESTS {
        last = repository.manifest("1").await.map(drop);
    }
    assert!(matches!(last, Err(ReadError::TooMuch { .. })), "{last:?}");
}
