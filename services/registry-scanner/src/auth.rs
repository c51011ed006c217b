//! Credentials for what is pulled: of Kubernetes pull secrets and a docker configuration, as the registry client takes them.

use model::ImageReference;
use oci_client::secrets::RegistryAuth;
use registry_logins::{DockerConfig, Login, best_fit, mounted, read};
use secrecy::ExposeSecret as _;

use crate::config::Pull;

/// Credentials for an image: of the pull secret whose entry fits best, else of the docker configuration, else anonymous. A file that
/// cannot be read is said in the log, and the pull goes on.
pub(crate) fn credentials(pull: &Pull, image: &ImageReference) -> RegistryAuth {
    let of_secrets = || {
        let secrets: Vec<DockerConfig> =
            mounted(pull.pull_secrets.as_deref()?).iter().filter_map(|path| read(path)).collect();
        best_fit(&secrets, image)
    };
    let of_config = || read(pull.docker_config.as_deref()?)?.find(image.registry());
    match of_secrets().or_else(of_config) {
        Some(Login::Basic { user, password }) => RegistryAuth::Basic(user, password.expose_secret().to_owned()),
        Some(Login::Identity(token)) => RegistryAuth::Basic("<token>".to_owned(), token.expose_secret().to_owned()),
        Some(Login::Bearer(token)) => RegistryAuth::Bearer(token.expose_secret().to_owned()),
        None => RegistryAuth::Anonymous,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn mounted_secrets_come_before_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secrets/team");
        std::fs::create_dir_all(&secret).unwrap();
        let write = |path: PathBuf, user: &str| {
            let entry = format!(r#"{{"r.example":{{"username":"{user}","password":"p"}}}}"#);
            let old = path.file_name().is_some_and(|name| name == ".dockercfg");
            std::fs::write(path, if old { entry } else { format!(r#"{{"auths":{entry}}}"#) }).unwrap();
        };
        write(folder.path().join("config.json"), "config");
        let pull = Pull {
            docker_config: Some(folder.path().join("config.json")),
            pull_secrets: Some(folder.path().join("secrets")),
            ..Pull::default()
        };
        let user = || match credentials(&pull, &"r.example/a".parse().unwrap()) {
            RegistryAuth::Basic(user, _) => user,
            _ => String::new(),
        };
        assert_eq!(user(), "config");
        std::fs::write(secret.join(".dockerconfigjson"), "{broken").unwrap();
        assert_eq!(user(), "config");
        write(secret.join(".dockercfg"), "old");
        assert_eq!(user(), "old");
        write(secret.join(".dockerconfigjson"), "new");
        assert_eq!(user(), "new");
    }
}
