//! Finds passwords again that the state directory has lost: every member holds those that replication needs.

use std::collections::BTreeMap;

use super::{Docker, archive};
use crate::host::{FailureKind, HostError};
use crate::model::{SecretRef, Seen};

/// Takes passwords that nobody knows any more from a container's password file. One that is not in there either is made
/// anew, for then it can only be reset.
pub async fn recover(
    docker: &Docker,
    container: &str,
    path: &str,
    passwords: &BTreeMap<String, SecretRef>,
) -> Result<(), HostError> {
    let text = match archive::read_file(docker, container, path).await {
        Seen::Known(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Seen::Absent => String::new(),
        Seen::Unknown(why) => {
            let what = format!("read {path} of container {container}");
            return Err(HostError::new(FailureKind::Other, what, why));
        }
    };
    for (role, secret) in passwords {
        if docker.secrets.peek(secret)?.is_some() {
            continue;
        }
        match text.lines().find_map(|line| password_of(line, role)) {
            Some(password) => docker.secrets.keep(secret, &password)?,
            None => docker.secrets.reveal(secret).map(drop)?,
        }
    }
    Ok(())
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
