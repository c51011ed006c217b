//! What a registry asks for before it answers (`WWW-Authenticate`), and the tokens of its authority.

use registry_logins::Login;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{ReadError, body_of};

/// How to answer a challenge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With user and password.
    Basic,
    /// With a token of an authority.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    /// Reads the headers of a refusal; a token is preferred to a password.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<Self> = texts.filter_map(Self::read).collect();
        let is_bearer = |one: &Self| matches!(one, Self::Bearer { .. });
        let at = all.iter().position(is_bearer).unwrap_or(0);
        all.into_iter().nth(at)
    }

    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        let part = |name: &str| {
            let (_, value) = rest.split_once(&format!("{name}=\""))?;
            value.split_once('"').map(|(value, _)| value.to_owned())
        };
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer
            .then(|| Some(Self::Bearer { realm: part("realm")?, service: part("service"), scope: part("scope") }))?
    }
}

/// The header that user and password are sent in; it is never printed.
pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    hidden(&format!("Basic {pair}"))
}

pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    hidden(&format!("Bearer {token}"))
}

fn hidden(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Asks an authority for a token, as whoever the login says, else as nobody in particular.
pub(super) async fn token(
    client: &reqwest::Client,
    (realm, pairs): (&str, &[(&str, &str)]),
    login: Option<&Login>,
) -> Result<Option<HeaderValue>, ReadError> {
    let mut url: reqwest::Url = realm.parse().map_err(|_| ReadError::Realm)?;
    let request = match login {
        Some(Login::Identity(token)) => {
            let mut form = url.clone();
            form.set_query(None);
            form.query_pairs_mut().extend_pairs(pairs).extend_pairs([
                ("grant_type", "refresh_token"),
                ("client_id", "biotope"),
                ("refresh_token", token.expose_secret()),
            ]);
            let body = form.query().unwrap_or_default().to_owned();
            client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)
        }
        login => {
            url.query_pairs_mut().extend_pairs(pairs);
            let header = match login {
                Some(Login::Basic { user, password }) => basic(user, password.expose_secret()),
                _ => None,
            };
            header.into_iter().fold(client.get(url), |request, header| request.header(AUTHORIZATION, header))
        }
    };
    let answer = request.send().await?;
    let status = answer.status();
    if !status.is_success() {
        return Err(ReadError::Status { url: realm.to_owned(), status });
    }
    let bytes = body_of(answer, realm, MOST_BYTES).await?;
    let answer: Value = serde_json::from_slice(&bytes).map_err(|_| ReadError::Content { url: realm.to_owned() })?;
    let token = answer.get("token").or_else(|| answer.get("access_token")).and_then(Value::as_str);
    Ok(token.and_then(bearer))
}

/// No token is larger.
const MOST_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

    use super::Challenge;

    #[test]
    fn challenges_are_read() {
        let bearer = |service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: "https://a.example/token".to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        let whole = "Bearer realm=\"https://a.example/token\",service=\"r.example\",scope=\"repository:app:pull,push\"";
        for (texts, expected) in [
            (vec!["Basic realm=\"x\""], Some(Challenge::Basic)),
            (vec!["basic"], Some(Challenge::Basic)),
            (vec![whole], Some(bearer(Some("r.example"), Some("repository:app:pull,push")))),
            (vec!["Basic realm=\"x\"", "bearer realm=\"https://a.example/token\""], Some(bearer(None, None))),
            (vec!["Bearer service=\"x\""], None),
            (vec!["Negotiate"], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for text in &texts {
                headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
            }
            assert_eq!(Challenge::of(&headers), expected, "{texts:?}");
        }
    }
}
