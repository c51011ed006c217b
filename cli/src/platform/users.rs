//! Users of the platform's bus: one for each service with no more rights than it needs, one for this command, one for readers.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use schemas::access::{self, USERS};

/// The user of `biotope` itself: whoever may read the platform's folder may ask its services for anything.
const OPERATOR: &str = "operator";

/// The user for programs of others: reads every event, says nothing.
const READER: &str = "reader";

/// Where a user's password is, below the platform's folder.
fn password_file(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("run/bus/{user}.password"))
}

/// How a service, or with `None` this command, shows who it is.
pub(crate) fn auth(folder: &Path, service: Option<&str>) -> (String, PathBuf) {
    let user = service.unwrap_or(OPERATOR);
    (user.to_owned(), password_file(folder, user))
}

/// Gives every user a new password and returns the server's configuration.
pub(super) fn create(folder: &Path) -> std::io::Result<String> {
    fs::create_dir_all(folder.join("run/bus"))?;
    // By itself the server lends out three quarters of what is free on the disk, which may be less than the streams may grow to; what
    // they are allowed is not what they take.
    let mut text = String::from("jetstream { max_file_store: 64GB }\n");
    text.push_str(&access::permissions_conf());
    text.push_str(&access::reader_conf());
    text.push_str("\naccounts { PLATFORM { jetstream: enabled, users: [\n");
    for user in USERS.iter().map(|user| user.name).chain([OPERATOR, READER]) {
        let password = format!("{}{}", super::token(), super::token());
        super::write_secret(&password_file(folder, user), &password)?;
        let rights =
            if user == OPERATOR { String::new() } else { format!(", permissions: ${}", access::variable(user)) };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {{ user: \"{user}\", password: \"{password}\"{rights} }}");
    }
    text.push_str("] } }\n");
    Ok(text)
}

/// Writes the address for readers, password and all, to a file that only the owner may read; returns the file.
pub(super) fn write_reader(folder: &Path, url: &str) -> anyhow::Result<PathBuf> {
    let password = fs::read_to_string(password_file(folder, READER))?;
    let file = folder.join("run/bus/reader.url");
    super::write_secret(&file, &url.replacen("nats://", &format!("nats://{READER}:{password}@"), 1))?;
    Ok(file)
}
