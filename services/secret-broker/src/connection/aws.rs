//! Amazon's services over HTTP, with requests signed by version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use std::time::Duration;

use ring::{digest, hmac};
use secret_sync::provider::ProviderError;
use secret_sync::provider::aws::{self, AwsError};
use secret_sync::{SecretBytes, SecretJson};
use serde_json::Value;

use super::asked::{Asked, Recorded, drive};
use super::http::{self, Trust};
use crate::reconciler::Rights;

/// Who signs.
#[derive(Debug)]
struct Login {
    id: SecretBytes,
    secret: SecretBytes,
    session: Option<SecretBytes>,
}

/// A service in a region.
#[derive(Debug)]
pub(crate) struct Service {
    client: reqwest::Client,
    address: String,
    host: String,
    region: String,
    name: &'static str,
    login: Login,
}

/// The two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    SecretsManager,
    ParameterStore,
}

#[derive(Debug, Default)]
pub(crate) struct Calls(Asked<(&'static str, SecretJson), Result<SecretJson, AwsError>>);

impl Recorded for Calls {
    type Question = (&'static str, SecretJson);
    type Answer = Result<SecretJson, AwsError>;

    fn asked(&mut self) -> &mut Asked<Self::Question, Self::Answer> {
        &mut self.0
    }
}

impl aws::Calls for Calls {
    fn call(&mut self, operation: &'static str, input: &SecretJson) -> Result<SecretJson, AwsError> {
        // The digest tells calls apart; the input may hold a value.
        let name = format!("{operation} {}", hex::encode(sha(input.expose().to_string().as_bytes())));
        self.0.answer(name, (operation, input.clone())).unwrap_or(Err(AwsError::Unanswered))
    }
}

fn sha(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

async fn credential(
    auth: &Value,
    field: &str,
    scope: (&str, bool),
    rights: &Rights,
) -> Result<Option<SecretBytes>, ProviderError> {
    let Some(reference) = auth.get(field).filter(|reference| reference.is_object()) else { return Ok(None) };
    let value = rights.credential(reference, scope).await?;
    Ok(Some(SecretBytes::new(value.expose().trim_ascii().to_vec())))
}

impl Service {
    /// Reads the login of a store.
    pub(crate) async fn open(
        (kind, settings): (Kind, &Value),
        scope: (&str, bool),
        (rights, timeout, endpoint): (&Rights, Duration, Option<&str>),
    ) -> Result<Self, ProviderError> {
        let failed = |what: &str| ProviderError::Failed(what.to_owned());
        let text = |name: &str| settings.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("region").is_empty() {
            return Err(failed("aws: `region` is missing"));
        }
        for unsupported in ["role", "additionalRoles"] {
            if settings.get(unsupported).is_some_and(|value| !value.is_null()) {
                let what = "is not supported: give the keys of `auth.secretRef` the rights themselves";
                return Err(ProviderError::Failed(format!("aws: `{unsupported}` {what}")));
            }
        }
        let Some(auth) = settings.pointer("/auth/secretRef").filter(|auth| auth.is_object()) else {
            let what = "aws: only `auth.secretRef` is supported: put an access key into a Secret and name it there";
            return Err(failed(what));
        };
        let login = Login {
            id: credential(auth, "accessKeyIDSecretRef", scope, rights)
                .await?
                .ok_or_else(|| failed("aws: `accessKeyIDSecretRef` is missing"))?,
            secret: credential(auth, "secretAccessKeySecretRef", scope, rights)
                .await?
                .ok_or_else(|| failed("aws: `secretAccessKeySecretRef` is missing"))?,
            session: credential(auth, "sessionTokenSecretRef", scope, rights).await?,
        };
        let name = if kind == Kind::SecretsManager { "secretsmanager" } else { "ssm" };
        let region = text("region").to_owned();
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let address = endpoint.map_or_else(|| format!("https://{name}.{region}.{suffix}"), str::to_owned);
        let address = address.trim_end_matches('/').to_owned();
        let host = address.split_once("://").map_or(address.as_str(), |(_, host)| host).to_owned();
        Ok(Self { client: http::client(&Trust::default(), timeout)?, address, host, region, name, login })
    }

    /// Runs a function of the engine with this service.
    pub(crate) async fn run<T: Send>(
        &self,
        function: impl FnMut(&mut Calls) -> Result<T, ProviderError> + Send,
    ) -> Result<T, ProviderError> {
        let ask = |(operation, input): (&'static str, SecretJson)| async move { self.call(operation, &input).await };
        drive(&mut Calls::default(), function, ask).await
    }

    async fn call(&self, operation: &str, input: &SecretJson) -> Result<SecretJson, AwsError> {
        let prefix = if self.name == "ssm" { "AmazonSSM" } else { "secretsmanager" };
        let target = format!("{prefix}.{operation}");
        let body = zeroize::Zeroizing::new(input.expose().to_string());
        let stamp = stamp(service::now());
        let authorization = self.authorization(&target, body.as_bytes(), &stamp);
        let mut request = self
            .client
            .post(format!("{}/", self.address))
            .header("Content-Type", CONTENT)
            .header("X-Amz-Target", target)
            .header("X-Amz-Date", &stamp)
            .header("Authorization", authorization);
        if let Some(session) = &self.login.session {
            request = request.header("X-Amz-Security-Token", session.expose());
        }
        let failed = |error: ProviderError| AwsError::Failed(error.to_string());
        let answer = request.body(body.as_bytes().to_vec()).send().await;
        let answer = answer.map_err(|error| failed(http::unanswered(&error)))?;
        let status = answer.status().as_u16();
        let json = SecretJson::parse(&http::body(answer).await.map_err(failed)?);
        if status == 200 {
            return json.ok_or_else(|| AwsError::Failed("the service's answer is no JSON".to_owned()));
        }
        let text = |names: [&str; 2]| {
            let json = json.as_ref()?.expose();
            names.into_iter().find_map(|name| json.get(name)?.as_str().map(str::to_owned))
        };
        match text(["__type", "code"]) {
            // The name may stand behind a namespace.
            Some(name) => Err(AwsError::Refused {
                code: name.rsplit(['#', '.']).next().unwrap_or_default().to_owned(),
                message: text(["message", "Message"]).unwrap_or_default(),
            }),
            None => Err(AwsError::Failed(format!("the service refuses ({status})"))),
        }
    }

    /// The header `Authorization`: a chain of keyed hashes over the request.
    fn authorization(&self, target: &str, body: &[u8], stamp: &str) -> String {
        let day = stamp.get(..8).unwrap_or_default();
        let mut headers =
            vec![("content-type", CONTENT.to_owned()), ("host", self.host.clone()), ("x-amz-date", stamp.to_owned())];
        if let Some(session) = &self.login.session {
            headers.push(("x-amz-security-token", session.expose_str().unwrap_or_default().to_owned()));
        }
        headers.push(("x-amz-target", target.to_owned()));
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let request = format!("POST\n/\n\n{lines}\n{names}\n{}", hex::encode(sha(body)));
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.name);
        let text = format!("{ALGORITHM}\n{stamp}\n{scope}\n{}", hex::encode(sha(request.as_bytes())));
        let first = zeroize::Zeroizing::new([b"AWS4", self.login.secret.expose()].concat());
        let steps = [day, &self.region, self.name, "aws4_request"];
        let key = steps.iter().fold(first, |key, step| zeroize::Zeroizing::new(keyed(&key, step.as_bytes())));
        let signature = hex::encode(keyed(&key, text.as_bytes()));
        let id = self.login.id.expose_str().unwrap_or_default();
        format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// `20150830T123600Z`.
fn stamp(now: model::Timestamp) -> String {
    let text = now.to_string();
    let digits: String = text.chars().take(19).filter(char::is_ascii_digit).collect();
    let (day, time) = digits.split_at_checked(8).unwrap_or((&digits, ""));
    format!("{day}T{time}Z")
}

const CONTENT: &str = "application/x-amz-json-1.1";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_stamped_as_the_signature_needs_them() {
        assert_eq!(stamp("2015-08-30T12:36:00Z".parse().unwrap()), "20150830T123600Z");
        assert_eq!(stamp("2015-08-30T12:36:00.123Z".parse().unwrap()), "20150830T123600Z");
    }

    /// The key of a day by the example of the documentation.
    #[test]
    fn keys_are_derived_as_documented() {
        let first = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
        let key = ["20120215", "us-east-1", "iam", "aws4_request"]
            .iter()
            .fold(first, |key, step| keyed(&key, step.as_bytes()));
        assert_eq!(hex::encode(key), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    }
}
