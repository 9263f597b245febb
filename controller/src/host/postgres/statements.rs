//! The SQL of every operation. Pure.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::pool::{APPLICATION_NAME, SUPERUSER};
use crate::model::postgres::{RoleAttributes, RoleChange, SqlOp};

/// How long most statements may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long a checkpoint may take: it writes all that is dirty in the shared buffers.
const CHECKPOINT_DEADLINE: Duration = Duration::from_secs(600);
/// How long it may take to copy a template or to run an extension's script.
const CREATION_DEADLINE: Duration = Duration::from_secs(300);

/// What is sent for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The database that it is sent to, where that matters.
    pub database: Option<String>,
    /// Sent one after the other; each is a transaction of its own.
    pub steps: Vec<String>,
    /// How long each may take.
    pub deadline: Duration,
    /// The error that says that it is already so, and what is sent then.
    pub already: Option<(SqlState, Vec<String>)>,
}

/// The script of an operation. `verifier` is made of the password that it sets, if it sets one.
pub fn script(op: &SqlOp, verifier: Option<&str>) -> Script {
    let mut script = Script {
        database: None,
        steps: Vec::new(),
        deadline: DEADLINE,
        already: None,
    };
    match op {
        SqlOp::Checkpoint => {
            script.steps = vec!["CHECKPOINT".to_owned()];
            script.deadline = CHECKPOINT_DEADLINE;
        }
        SqlOp::Promote => {
            script.steps = vec!["SELECT pg_promote(wait => false)".to_owned()];
            script.already = Some((SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, Vec::new()));
        }
        SqlOp::Reload => script.steps = vec!["SELECT pg_reload_conf()".to_owned()],
        SqlOp::ResumeReplay => {
            script.steps = vec!["SELECT pg_wal_replay_resume()".to_owned()];
            script.already = Some((SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, Vec::new()));
        }
        SqlOp::CreateSlot(name) => {
            let name = literal(name);
            script.steps = vec![format!(
                "SELECT pg_create_physical_replication_slot({name}, immediately_reserve => true)"
            )];
            script.already = Some((SqlState::DUPLICATE_OBJECT, Vec::new()));
        }
        SqlOp::DropSlot(name) => {
            script.steps = vec![format!("SELECT pg_drop_replication_slot({})", literal(name))];
            script.already = Some((SqlState::UNDEFINED_OBJECT, Vec::new()));
        }
        SqlOp::ResetParameter(name) => {
            let name: Vec<String> = name.split('.').map(ident).collect();
            script.steps = vec![
                format!("ALTER SYSTEM RESET {}", name.join(".")),
                "SELECT pg_reload_conf()".to_owned(),
            ];
        }
        SqlOp::Role(change) => {
            let alter = role("ALTER", change, verifier);
            if change.create {
                script.steps = vec![role("CREATE", change, verifier)];
                script.already = Some((SqlState::DUPLICATE_OBJECT, vec![alter]));
            } else {
                script.steps = vec![alter];
            }
        }
        SqlOp::CreateDatabase { name, owner } => {
            script.steps = vec![create_database(name, owner)];
            script.already = Some((SqlState::DUPLICATE_DATABASE, Vec::new()));
            script.deadline = CREATION_DEADLINE;
        }
        SqlOp::OpenDatabase(name) => {
            script.steps = vec![format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", ident(name))];
        }
        SqlOp::DatabaseOwner { name, owner } => {
            script.steps = vec![format!("ALTER DATABASE {} OWNER TO {}", ident(name), ident(owner))];
        }
        SqlOp::CreateExtension { database, .. }
        | SqlOp::UpdateExtension { database, .. }
        | SqlOp::MoveExtension { database, .. } => {
            script.database = Some(database.clone());
            script.steps = of_extension(op);
            script.deadline = CREATION_DEADLINE;
        }
        // Each is sent by itself.
        SqlOp::Many(_) => {}
        SqlOp::TerminateClients => script.steps = vec![terminate_clients()],
        SqlOp::EndSenders(pids) => script.steps = vec![end_senders(pids)],
    }
    script
}

fn create_database(name: &str, owner: &str) -> String {
    let owner = match owner.is_empty() {
        true => String::new(),
        false => format!(" OWNER {}", ident(owner)),
    };
    // Nobody can be connected to `template0`, which would be in the way; nobody put anything in it either.
    let template = if name == SUPERUSER { " TEMPLATE template0" } else { "" };
    format!("CREATE DATABASE {}{owner}{template}", ident(name))
}

/// What is done to an extension.
fn of_extension(op: &SqlOp) -> Vec<String> {
    let mut steps = Vec::new();
    if let SqlOp::CreateExtension { schema, .. } | SqlOp::MoveExtension { schema, .. } = op {
        steps.extend(make_schema(schema));
    }
    if let SqlOp::CreateExtension {
        name,
        schema,
        version,
        cascade,
        ..
    } = op
    {
        let mut create = format!("CREATE EXTENSION IF NOT EXISTS {}", ident(name));
        for (word, value) in [("SCHEMA", schema), ("VERSION", version)] {
            if !value.is_empty() {
                create.push_str(&format!(" {word} {}", ident(value)));
            }
        }
        if *cascade {
            create.push_str(" CASCADE");
        }
        steps.push(create);
    }
    if let SqlOp::UpdateExtension { name, version, .. } = op {
        steps.push(format!("ALTER EXTENSION {} UPDATE TO {}", ident(name), ident(version)));
    }
    if let SqlOp::MoveExtension { name, schema, .. } = op {
        steps.push(format!("ALTER EXTENSION {} SET SCHEMA {}", ident(name), ident(schema)));
    }
    steps
}

/// Makes a schema, if one is named. PostgreSQL's own are there.
fn make_schema(schema: &str) -> Option<String> {
    let is_users = !schema.is_empty() && !schema.starts_with("pg_");
    is_users.then(|| format!("CREATE SCHEMA IF NOT EXISTS {}", ident(schema)))
}

/// Ends all sessions but the agent's own. Replication has a backend type of its own and is left alone.
fn terminate_clients() -> String {
    format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' \
         AND NOT (usename = current_user AND application_name = {})",
        literal(APPLICATION_NAME)
    )
}

/// A process number may be another's by now: only what is a WAL sender still is ended.
fn end_senders(pids: &[i32]) -> String {
    let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
    format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE pid IN ({})",
        pids.join(", ")
    )
}

/// Statements in one message are one transaction, so that a role is never half of what is wanted.
fn role(verb: &str, change: &RoleChange, verifier: Option<&str>) -> String {
    let name = ident(&change.name);
    let mut text = format!("{verb} ROLE {name} WITH {}", attributes(change.attributes));
    if change.never_expires {
        text.push_str(" VALID UNTIL 'infinity'");
    }
    if let Some(verifier) = verifier {
        text.push_str(" PASSWORD ");
        text.push_str(&literal(verifier));
    }
    for granted in &change.grant {
        text.push_str(&format!("; GRANT {} TO {name}", ident(granted)));
    }
    text
}

fn attributes(wanted: RoleAttributes) -> String {
    let flags = [
        (wanted.login, "LOGIN"),
        (wanted.superuser, "SUPERUSER"),
        (wanted.createdb, "CREATEDB"),
        (wanted.createrole, "CREATEROLE"),
        (wanted.replication, "REPLICATION"),
    ];
    let mut words: Vec<String> = flags
        .iter()
        .map(|(on, word)| if *on { (*word).to_owned() } else { format!("NO{word}") })
        .collect();
    words.push(format!("CONNECTION LIMIT {}", wanted.connection_limit));
    words.join(" ")
}

/// Quotes an identifier (documentation, 4.1.1).
fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string. The escape form reads the same whatever `standard_conforming_strings` says (documentation, 4.1.2.2).
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_strings_cannot_break_out_of_their_quotes() {
        assert_eq!(ident("a\"b; --"), "\"a\"\"b; --\"");
        assert_eq!(literal("it's \\"), "E'it''s \\\\'");
        let reset = script(&SqlOp::ResetParameter("auto_explain.log_analyze".to_owned()), None);
        assert_eq!(reset.steps[0], "ALTER SYSTEM RESET \"auto_explain\".\"log_analyze\"");
    }

    #[test]
    fn a_role_is_made_with_all_that_it_shall_be_in_one_message() {
        let change = RoleChange {
            name: "app".to_owned(),
            create: true,
            attributes: RoleAttributes {
                login: true,
                connection_limit: -1,
                ..RoleAttributes::default()
            },
            password: None,
            grant: vec!["readers".to_owned()],
            never_expires: false,
        };
        let script = script(&SqlOp::Role(change), Some("SCRAM-SHA-256$4096:x$y:z"));
        let rest = "ROLE \"app\" WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT -1 \
                    PASSWORD E'SCRAM-SHA-256$4096:x$y:z'; GRANT \"readers\" TO \"app\"";
        assert_eq!(script.steps, [format!("CREATE {rest}")]);
        let already = Some((SqlState::DUPLICATE_OBJECT, vec![format!("ALTER {rest}")]));
        assert_eq!(script.already, already);
    }

    #[test]
    fn an_extension_is_made_in_its_database() {
        let op = SqlOp::CreateExtension {
            database: "shop".to_owned(),
            name: "pg_trgm".to_owned(),
            schema: String::new(),
            version: String::new(),
            cascade: false,
        };
        assert_eq!(script(&op, None).database.as_deref(), Some("shop"));
        let exact = SqlOp::CreateExtension {
            database: "shop".to_owned(),
            name: "earthdistance".to_owned(),
            schema: "tools".to_owned(),
            version: "1.1".to_owned(),
            cascade: true,
        };
        let steps = [
            r#"CREATE SCHEMA IF NOT EXISTS "tools""#,
            r#"CREATE EXTENSION IF NOT EXISTS "earthdistance" SCHEMA "tools" VERSION "1.1" CASCADE"#,
        ];
        assert_eq!(script(&exact, None).steps, steps);
    }
}
