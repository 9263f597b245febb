//! Finds passwords again that the state directory has lost: every member holds those that replication needs, an exporter and
//! Grafana their own.

use std::collections::BTreeMap;

use super::{Docker, archive};
use crate::host::{FailureKind, HostError};
use crate::model::{SecretRef, Seen};

/// The name of libpq's password file in a member's directory.
pub const PGPASS: &str = "pgpass";

/// Takes passwords that nobody knows any more from the files of containers. One that is in none of them is made anew, for then
/// it can only be reset; but not while one of them cannot be read.
pub async fn recover(
    docker: &Docker,
    containers: &[String],
    path: &str,
    passwords: &BTreeMap<String, SecretRef>,
) -> Result<(), HostError> {
    let mut texts = Vec::new();
    let mut unread = None;
    for container in containers {
        match archive::read_file(docker, container, path).await {
            Seen::Known(bytes) => texts.push(String::from_utf8_lossy(&bytes).into_owned()),
            Seen::Absent => {}
            Seen::Unknown(why) => {
                let what = format!("read {path} of container {container}");
                unread = Some(HostError::new(FailureKind::Other, what, why));
            }
        }
    }
    for (role, secret) in passwords {
        if docker.secrets.peek(secret)?.is_some() {
            continue;
        }
        match (texts.iter().find_map(|text| password_in(text, path, role)), &unread) {
            (Some(password), _) => docker.secrets.keep(secret, &password)?,
            (None, Some(error)) => return Err(error.clone()),
            (None, None) => docker.secrets.make(secret).map(drop)?,
        }
    }
    Ok(())
}

fn password_in(text: &str, path: &str, role: &str) -> Option<String> {
    match path.rsplit('/').next() == Some(PGPASS) {
        true => text.lines().find_map(|line| password_of(line, role)),
        false => Some(text.trim_end().to_owned()).filter(|password| !password.is_empty()),
    }
}

/// The password in a line of libpq's password file (documentation, 34.16), if the line is for `role`.
fn password_of(line: &str, role: &str) -> Option<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' => fields.push(String::new()),
            '\\' => fields.last_mut()?.push(characters.next()?),
            other => fields.last_mut()?.push(other),
        }
    }
    match fields.as_slice() {
        [_, _, _, user, password] if user == role => Some(password.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::password_of;

    #[test]
    fn escaped_separators_belong_to_the_password() {
        assert_eq!(
            password_of(r"*:*:*:postgres:a\:b\\c", "postgres"),
            Some(r"a:b\c".to_owned())
        );
        assert_eq!(password_of("*:*:*:replicator:x", "postgres"), None);
        assert_eq!(password_of("# a comment", "postgres"), None);
    }
}
