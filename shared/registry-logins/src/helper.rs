//! Credential helpers: `docker-credential-<helper> get`, the registry on its input (docker's protocol).

use std::io::Write as _;
use std::process::{Command, Stdio};

use secrecy::SecretString;
use serde::Deserialize;

use crate::Login;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: SecretString,
}

/// Asks a helper; one that cannot be asked is told in the log.
pub(crate) fn ask(helper: &str, registry: &str) -> Option<Login> {
    let is_name = helper.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !is_name {
        tracing::warn!(helper, "not a name of a credential helper");
        return None;
    }
    let program = format!("docker-credential-{helper}");
    let started =
        Command::new(&program).arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(program, %error, "credential helper cannot be started");
            return None;
        }
    };
    child.stdin.take()?.write_all(registry.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let helped: Helped = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())?;
    Some(match helped.username.as_str() {
        // So helpers say that the secret is a token.
        "<token>" => Login::Identity(helped.secret),
        _ => Login::Basic { user: helped.username, password: helped.secret },
    })
}
