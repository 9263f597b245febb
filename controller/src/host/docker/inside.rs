//! What only programs of the image can do, and only inside a running container; most of them are PostgreSQL's own.

use postgres_protocol::password::scram_sha_256;

use super::{Docker, Exec, ExecOutput, errors};
use crate::host::{FailureKind, HostError, Secrets};
use crate::model::SecretRef;
use crate::model::complaint::complaint;
use crate::model::plan::ConfigCheck;

/// The user that the server runs as, and that the socket's `peer` method lets in.
const USER: &str = "postgres";
/// The script's exit code for a failure that says nothing of the configuration.
const NOT_CHECKED: i64 = 71;
/// The exit code of `psql` when it gets no connection, as opposed to an error in the script.
const NOT_LET_IN: i64 = 2;
/// What somebody set for the role or the database must not keep the agent from its work.
const OPTIONS: &str = "PGOPTIONS=-c role=none -c default_transaction_read_only=off \
    -c default_transaction_isolation=read\\ committed -c statement_timeout=40s -c session_preload_libraries= \
    -c local_preload_libraries= -c search_path=pg_catalog";
/// How a configuration is tried beside a server that runs.
const CHECK: &str = concat!(include_str!("../../kinds/postgres/probe.sh"), include_str!("check.sh"));

/// Ends the WAL senders among the container's processes, but that to the address `$1`. PostgreSQL's titles read
/// `postgres: CLUSTER_NAME: walsender ROLE ADDRESS(PORT) ...`. A sender that is stuck in sending meets the first signal with
/// one more message to its receiver, and is stuck in that; the second one ends it (`ProcessClientWriteInterrupt`).
const END_SENDERS: &str = r#"for round in 1 2; do
	[ "$round" = 1 ] || sleep 0.1
	for process in /proc/[0-9]*; do
		title=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
		case $title in
		'postgres: '*/*': walsender '*) ;;
		*) continue ;;
		esac
		if [ -n "$1" ]; then case $title in *" $1("*) continue ;; esac; fi
		kill -TERM "${process#/proc/}" 2>/dev/null || true
	done
done"#;

/// Has the server's own program come as far as the data with a configuration, without putting it in force.
pub(super) async fn check_config(docker: &Docker, check: &ConfigCheck) -> Result<(), HostError> {
    let what = format!("check the configuration in container {}", check.container);
    let files = format!("{}#-- pg_hba.conf\n{}", check.text, check.hba);
    let members = check.members.to_string();
    let counts = if check.is_altered { "altered" } else { "plain" };
    let exec = Exec {
        argv: &["sh", "-c", CHECK, "sh", counts, &members],
        env: &["LC_ALL=C"],
        stdin: Some(files.as_bytes()),
        user: USER,
    };
    let output = docker.exec(&check.container, exec).await?;
    let kind = match output.code {
        0 => return Ok(()),
        NOT_CHECKED | 126.. => FailureKind::Other,
        _ => FailureKind::Invalid,
    };
    let said = match output.stderr.trim() {
        "" => output.stdout.as_str(),
        stderr => stderr,
    };
    let words = complaint(said).unwrap_or_else(|| server_words(said));
    Err(HostError::new(kind, what, words))
}

/// Ends the WAL senders of a server that is shutting down, but that to one address.
pub(super) async fn end_senders(docker: &Docker, container: &str, spared: &str) -> Result<(), HostError> {
    let exec = Exec {
        argv: &["sh", "-c", END_SENDERS, "sh", spared],
        user: USER,
        ..Exec::default()
    };
    let output = docker.exec(container, exec).await?;
    done(&output, format!("end WAL senders in container {container}"))
}

/// Removes files, as root: they may belong to whoever put them there.
pub(super) async fn remove_files(
    docker: &Docker,
    container: &str,
    directory: &str,
    names: &[String],
) -> Result<(), HostError> {
    let paths: Vec<String> = names.iter().map(|name| format!("{directory}/{name}")).collect();
    let mut argv = vec!["rm", "-f", "--"];
    argv.extend(paths.iter().map(String::as_str));
    let exec = Exec {
        argv: &argv,
        user: "0",
        ..Exec::default()
    };
    let output = docker.exec(container, exec).await?;
    done(&output, format!("remove files in container {container}"))
}

/// Gives Grafana's `admin` another password, through a pipe. Before Grafana 9.4 the program has another name.
pub(super) async fn reset_admin(docker: &Docker, container: &str, password: &SecretRef) -> Result<(), HostError> {
    const SCRIPT: &str = "set -- admin reset-admin-password --password-from-stdin; \
        if command -v grafana >/dev/null; then exec grafana cli \"$@\"; else exec grafana-cli \"$@\"; fi";
    let password = docker.secrets.reveal(password)?;
    let exec = Exec {
        argv: &["sh", "-c", SCRIPT],
        stdin: Some(password.as_bytes()),
        ..Exec::default()
    };
    let output = docker.exec(container, exec).await?;
    let output = ExecOutput {
        stdout: output.stdout.replace(password.as_str(), "…"),
        stderr: output.stderr.replace(password.as_str(), "…"),
        ..output
    };
    done(
        &output,
        format!("reset the password of Grafana's admin in container {container}"),
    )
}

/// What a program of the image said, if it failed.
fn done(output: &ExecOutput, what: String) -> Result<(), HostError> {
    match output.code {
        0 => Ok(()),
        _ => {
            let said = format!("{} {}", output.stderr, output.stdout);
            Err(HostError::new(FailureKind::Other, what, errors::condense(&said)))
        }
    }
}

impl Docker {
    /// Sets a role's password through the socket inside the container. Only the verifier leaves the agent, and only
    /// through a pipe; the server is told not to log it, and not to wait for standbys that may be down.
    pub async fn reset_password(
        &self,
        container: &str,
        role: &str,
        password: &SecretRef,
        secrets: &dyn Secrets,
    ) -> Result<(), HostError> {
        let what = format!("reset the password of role {role} in container {container}");
        let verifier = scram_sha_256(secrets.reveal(password)?.as_bytes());
        let said = self.psql(container, &reset_script(role, &verifier)).await?;
        said.map_err(|words| HostError::new(FailureKind::Other, what, words.replace(&verifier, "…")))
    }

    /// Asks a standby to become a primary, and waits. A primary is left as it is.
    pub async fn promote_inside(&self, container: &str) -> Result<(), HostError> {
        let what = format!("promote the server in container {container}");
        let script = "SELECT pg_promote(true, 30) WHERE pg_is_in_recovery();\n";
        let said = self.psql(container, script).await?;
        said.map_err(|words| HostError::new(FailureKind::Other, what, words))
    }

    /// Runs a script as the superuser, through the socket. The inner error is in the server's words. Where it is not let in, it
    /// tries another database, and what newer servers have against triggers that keep everybody out: older ones refuse that.
    async fn psql(&self, container: &str, script: &str) -> Result<Result<(), String>, HostError> {
        let mut why = None;
        for options in [OPTIONS.to_owned(), format!("{OPTIONS} -c event_triggers=off")] {
            for database in ["postgres", "template1"] {
                let output = self.psql_in(container, (database, &options), script).await?;
                let words = || server_words(&output.stderr);
                match output.code {
                    0 => return Ok(Ok(())),
                    NOT_LET_IN if !output.stderr.contains("timeout expired") => drop(why.get_or_insert_with(words)),
                    _ => return Ok(Err(words())),
                }
            }
        }
        Ok(Err(why.unwrap_or_default()))
    }

    async fn psql_in(
        &self,
        container: &str,
        (database, options): (&str, &str),
        script: &str,
    ) -> Result<ExecOutput, HostError> {
        let exec = Exec {
            argv: &[
                "psql",
                "-X",
                "-q",
                "-w",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "/var/run/postgresql",
                "-U",
                USER,
                "-d",
                database,
            ],
            env: &["LC_ALL=C", "PGCONNECT_TIMEOUT=10", options],
            stdin: Some(script.as_bytes()),
            user: USER,
        };
        self.exec(container, exec).await
    }
}

fn reset_script(role: &str, verifier: &str) -> String {
    let role = role.replace('"', "\"\"");
    let verifier = verifier.replace('\'', "''");
    format!(
        "SET log_statement = 'none';\n\
         SET log_min_duration_statement = -1;\n\
         SET log_min_error_statement = 'panic';\n\
         SET synchronous_commit = 'local';\n\
         SET statement_timeout = '20s';\n\
         ALTER ROLE \"{role}\" WITH LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD '{verifier}';\n"
    )
}

/// The server's messages in one line, without times, process numbers and the summary that follows from them.
fn server_words(stderr: &str) -> String {
    const SEVERITIES: [&str; 5] = ["LOG:  ", "WARNING:  ", "ERROR:  ", "FATAL:  ", "PANIC:  "];
    const ADDITIONS: [(&str, &str); 2] = [("DETAIL:  ", ""), ("HINT:  ", "hint: ")];
    let after = |line: &str, mark: &str| line.split_once(mark).map(|(_, rest)| rest.trim().to_owned());
    let mut messages: Vec<String> = Vec::new();
    for line in stderr.lines() {
        let message = SEVERITIES.iter().find_map(|mark| after(line, mark));
        let addition = ADDITIONS
            .iter()
            .find_map(|(mark, name)| after(line, mark).map(|rest| format!("; {name}{rest}")));
        match (message, addition, messages.last_mut()) {
            (Some(message), ..) => messages.push(message),
            (None, Some(addition), Some(last)) => last.push_str(&addition),
            _ => {}
        }
    }
    let is_summary =
        |message: &String| message.starts_with("configuration file ") && message.contains("contains errors");
    if messages.iter().any(|message| !is_summary(message)) {
        messages.retain(|message| !is_summary(message));
    }
    match messages.is_empty() {
        true => errors::condense(
            stderr
                .lines()
                .rfind(|line| !line.trim().is_empty())
                .unwrap_or("it gave no reason"),
        ),
        false => errors::condense(&messages.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_complaint_is_one_line_with_its_hint() {
        let stderr = "2026-01-01 10:00:00.000 UTC [42] LOG:  invalid value for parameter \"shared_buffers\": \"lots\"\n\
            2026-01-01 10:00:00.000 UTC [42] HINT:  Valid units for this parameter are \"B\" and \"kB\".\n\
            2026-01-01 10:00:00.000 UTC [42] FATAL:  configuration file \"postgresql.conf\" contains errors\n";
        let expected = "invalid value for parameter \"shared_buffers\": \"lots\"; \
            hint: Valid units for this parameter are \"B\" and \"kB\".";
        assert_eq!(server_words(stderr), expected);
    }

    #[test]
    fn a_summary_or_a_bare_line_is_better_than_nothing() {
        let summary = "FATAL:  configuration file \"postgresql.conf\" contains errors\n";
        assert_eq!(
            server_words(summary),
            "configuration file \"postgresql.conf\" contains errors"
        );
        assert_eq!(
            server_words("sh: 4: postgres: not found\n"),
            "sh: 4: postgres: not found"
        );
        assert_eq!(server_words(""), "it gave no reason");
    }

    #[test]
    fn a_roles_name_is_quoted() {
        assert!(reset_script("o\"x", "SCRAM").contains("ALTER ROLE \"o\"\"x\" WITH LOGIN"));
    }
}
