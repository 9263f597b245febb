//! Delivers files into containers. Secrets are put in here, at the last moment, and live in memory only.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::models::ContainerInspectResponse;

use super::archive::{self, Packed};
use super::{Docker, local, observe, recover};
use crate::host::{FailureKind, HostError, Secrets};
use crate::model::container::{Escape, FileSpec};
use crate::model::plan::Delivery;
use crate::model::{SecretRef, Seen, labels};

impl Docker {
    /// Puts files into a container, running or not. Each file appears under its name while it is being written, so a
    /// server must not be told to read it before this returns. Where the engine keeps the container's files can be seen
    /// from here, they are looked at first: who waits for a start need not wait for what is there already.
    pub async fn deliver(&self, delivery: &Delivery, secrets: &dyn Secrets) -> Result<(), HostError> {
        let what = format!("deliver files into container {}", delivery.container);
        let inspected = observe::inspect(self, &delivery.container).await?.ok_or_else(|| {
            let why = format!("there is no container {}", delivery.container);
            HostError::new(FailureKind::NotFound, what.as_str(), why)
        })?;
        let owner = owner_ids(self, &inspected, &delivery.container, &delivery.owner, &what).await?;
        self.find_again(delivery, &inspected).await?;
        let mut files = Vec::new();
        for spec in &delivery.files {
            files.push(Packed {
                name: spec.name.clone(),
                mode: spec.mode,
                content: filled_in(spec, secrets)?.into_bytes(),
            });
        }
        if local::has_files(self, &inspected, &delivery.directory, owner, &files).await {
            return Ok(());
        }
        // A clock before 1970 would only make the files look old.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let tar = archive::pack(&delivery.directory, owner, &files, now)
            .map_err(|error| HostError::new(FailureKind::Invalid, what, error.to_string()))?;
        archive::upload(self, &delivery.container, tar).await
    }
}

impl Docker {
    /// The state directory was lost, and nobody runs who could be asked: the passwords of a password file that is to be
    /// delivered are in those of the resource's other containers.
    async fn find_again(&self, delivery: &Delivery, inspected: &ContainerInspectResponse) -> Result<(), HostError> {
        let files = delivery.files.iter().filter(|file| file.name == recover::PGPASS);
        let mut lost = BTreeMap::new();
        for placeholder in files.flat_map(|file| &file.secrets).filter(|one| !one.make) {
            if let SecretRef::Generated { name, .. } = &placeholder.secret
                && self.secrets.peek(&placeholder.secret)?.is_none()
            {
                lost.insert(name.clone(), placeholder.secret.clone());
            }
        }
        let labels = inspected.config.as_ref().and_then(|config| config.labels.as_ref());
        let Some(uid) = labels
            .and_then(|found| found.get(labels::UID))
            .filter(|_| !lost.is_empty())
        else {
            return Ok(());
        };
        let filter = format!("{}={uid}", labels::UID);
        let listed = observe::summaries(self, Some(&filter)).await?;
        let containers: Vec<String> = listed.into_iter().filter_map(|one| one.id).collect();
        let path = format!("{}/{}", delivery.directory, recover::PGPASS);
        recover::recover(self, &containers, &path, &lost).await
    }
}

/// The file's text with secrets in place of tokens. One pass: a secret that looks like a token is left alone.
fn filled_in(spec: &FileSpec, secrets: &dyn Secrets) -> Result<String, HostError> {
    let mut values = Vec::new();
    for placeholder in &spec.secrets {
        let secret = match placeholder.make {
            true => secrets.make(&placeholder.secret)?,
            false => secrets.reveal(&placeholder.secret)?,
        };
        let value = match placeholder.escape {
            Escape::None => secret,
            Escape::Pgpass => pgpass_escaped(&secret),
            Escape::Json => json_escaped(&secret),
        };
        values.push((placeholder.token.as_str(), value));
    }
    let mut filled = String::new();
    let mut rest = spec.text.as_str();
    let next = |rest: &str| {
        let found = values
            .iter()
            .filter_map(|(token, value)| Some((rest.find(token)?, *token, value)));
        found.min_by_key(|(at, _, _)| *at)
    };
    while let Some((at, token, value)) = next(rest) {
        filled.push_str(&rest[..at]);
        filled.push_str(value);
        rest = &rest[at + token.len()..];
        if token.is_empty() {
            break;
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn pgpass_escaped(secret: &str) -> String {
    secret.replace('\\', "\\\\").replace(':', "\\:")
}

fn json_escaped(secret: &str) -> String {
    let quoted = serde_json::Value::from(secret).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The numbers of a user, as the container's own password file says.
async fn owner_ids(
    docker: &Docker,
    inspected: &ContainerInspectResponse,
    container: &str,
    owner: &str,
    what: &str,
) -> Result<(u64, u64), HostError> {
    if let Some(ids) = numeric_ids(owner) {
        return Ok(ids);
    }
    let key = (inspected.image.clone().unwrap_or_default(), owner.to_owned());
    if let Some(ids) = docker.users.borrow().get(&key) {
        return Ok(*ids);
    }
    let ids = match archive::read_file(docker, container, "/etc/passwd").await {
        Seen::Known(bytes) => ids_in_passwd(&String::from_utf8_lossy(&bytes), owner),
        Seen::Absent => None,
        Seen::Unknown(why) => return Err(HostError::new(FailureKind::Other, what, why)),
    };
    let unknown = || HostError::new(FailureKind::Invalid, what, format!("its image has no user {owner}"));
    let ids = ids.ok_or_else(unknown)?;
    docker.users.borrow_mut().insert(key, ids);
    Ok(ids)
}

/// `999` or `999:998`.
fn numeric_ids(owner: &str) -> Option<(u64, u64)> {
    let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
    Some((user.parse().ok()?, group.parse().ok()?))
}

fn ids_in_passwd(passwd: &str, owner: &str) -> Option<(u64, u64)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_owner = fields.next() == Some(owner);
        let (uid, gid) = (fields.nth(1)?, fields.next()?);
        is_owner.then(|| Some((uid.parse().ok()?, gid.parse().ok()?))).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SecretRef;
    use crate::model::container::Placeholder;

    struct Echo;

    impl Secrets for Echo {
        fn reveal(&self, secret: &SecretRef) -> Result<String, HostError> {
            Ok(secret.to_string().replace("environment variable ", ""))
        }

        fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
            self.reveal(secret).map(Some)
        }
    }

    fn placeholder(token: &str, secret: &str, escape: Escape) -> Placeholder {
        Placeholder {
            token: token.to_owned(),
            secret: SecretRef::Env(secret.to_owned()),
            make: false,
            escape,
        }
    }

    #[test]
    fn tokens_are_replaced_and_secrets_that_look_like_tokens_stay() {
        let spec = FileSpec {
            secrets: vec![
                placeholder("{a}", "x{b}", Escape::None),
                placeholder("{b}", "y", Escape::None),
            ],
            ..FileSpec::plain("f", "1 {a} 2 {b} 3 {a}\n".to_owned())
        };
        assert_eq!(filled_in(&spec, &Echo), Ok("1 x{b} 2 y 3 x{b}\n".to_owned()));
    }

    #[test]
    fn password_files_escape_colons_and_backslashes() {
        let spec = FileSpec {
            secrets: vec![placeholder("{a}", r"p:q\r", Escape::Pgpass)],
            ..FileSpec::plain("pgpass", "*:*:*:postgres:{a}\n".to_owned())
        };
        assert_eq!(filled_in(&spec, &Echo), Ok("*:*:*:postgres:p\\:q\\\\r\n".to_owned()));
    }

    #[test]
    fn a_secret_in_json_is_escaped() {
        let spec = FileSpec {
            secrets: vec![placeholder("{a}", "p\"q\\r", Escape::Json)],
            ..FileSpec::plain("passwords.json", "{\"redis\": \"{a}\"}".to_owned())
        };
        let filled = filled_in(&spec, &Echo).unwrap();
        assert_eq!(filled, r#"{"redis": "p\"q\\r"}"#);
    }

    #[test]
    fn users_are_found_by_name_and_taken_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres:x:999:998::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ids_in_passwd(passwd, "postgres"), Some((999, 998)));
        assert_eq!(ids_in_passwd(passwd, "mysql"), None);
        assert_eq!(numeric_ids("70"), Some((70, 70)));
        assert_eq!(numeric_ids("70:71"), Some((70, 71)));
        assert_eq!(numeric_ids("postgres"), None);
    }
}
