//! Connections. One that was used is kept for the next pass, because a login costs more than all the questions of a
//! pass; one that failed is dropped.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::failure::Trouble;
use crate::model::plan::SqlTarget;

/// The superuser that `initdb` makes, and the database that it makes for it.
pub const SUPERUSER: &str = "postgres";
/// Where the agent goes when that database is not there.
const ELSEWHERE: &str = "template1";
/// How the agent shows in `pg_stat_activity`.
pub const APPLICATION_NAME: &str = "reconciler";
/// How long the kernel behind an address may take to answer. On the same host it takes microseconds, even when the
/// container is paused; only an address that is gone is silent, and whoever waits for it delays a promotion.
const CONNECT_DEADLINE: Duration = Duration::from_millis(100);
/// How long a login may take. A server behind a bridge on the same host takes milliseconds; a frozen one, for ever.
const LOGIN_DEADLINE: Duration = Duration::from_secs(2);
/// How long a login proves that the server admits others. A session outlives the freezing of the process that makes
/// them, so that a kept connection alone would call a server healthy that no client can reach.
const PROVED_FOR: Duration = Duration::from_secs(5);
/// How long the answer to a request for encryption may take. With the login that follows it stays within a pass's time.
const PROOF_DEADLINE: Duration = Duration::from_millis(500);
/// `SSLRequest` (documentation, 55.7): the shortest question that only a newly made session answers, with one byte.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// How long a connection is kept without being used.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// How many unused connections are kept for one server: one for facts, one for a statement beside it.
const KEPT: usize = 2;

/// Settings of every session, sent with the login: all that it depends on, because `ALTER ROLE`, `ALTER DATABASE` and the
/// configuration may set them to anything. What the client sends overrules these (`GucSource` in PostgreSQL's `guc.h`).
/// * No library of sessions, no other role, no other isolation: each may keep a session from being made, or from asking.
/// * A statement that the client gave up must not go on for ever.
/// * Nothing here waits for a synchronous standby: the role that standbys log in with is made by such a statement.
/// * The questions of every pass, and verifiers, stay out of the server's log.
/// * One plan of the facts serves all passes; compiling it would take longer than running it.
const SESSION: [&str; 24] = [
    "statement_timeout=5s",
    "lock_timeout=0",
    "idle_session_timeout=0",
    "idle_in_transaction_session_timeout=0",
    "default_transaction_read_only=off",
    "default_transaction_deferrable=off",
    "default_transaction_isolation=read\\ committed",
    "role=none",
    "session_preload_libraries=",
    "local_preload_libraries=",
    "standard_conforming_strings=on",
    "bytea_output=hex",
    "DateStyle=ISO",
    "IntervalStyle=postgres",
    "lc_messages=C",
    "row_security=on",
    "synchronous_commit=local",
    "client_min_messages=error",
    "log_statement=none",
    "log_duration=off",
    "log_min_duration_statement=-1",
    "log_min_error_statement=panic",
    "plan_cache_mode=force_generic_plan",
    "jit=off",
];

/// The same for PostgreSQL 17 and later: a trigger at the login may keep everybody out, and so may this limit.
const SESSION_17: [&str; 2] = ["event_triggers=off", "transaction_timeout=0"];

type Key = (String, String);
type Unused = (Instant, Line);

/// Unused connections, by container and address: both change when another server is behind the name.
#[derive(Default)]
pub struct Pool {
    unused: RefCell<BTreeMap<Key, Vec<Unused>>>,
    /// Whether a container's server knows the settings of PostgreSQL 17.
    is_newer: RefCell<BTreeMap<String, bool>>,
}

/// An open connection.
pub struct Line {
    /// Its sending end.
    pub client: Client,
    statement: Option<Statement>,
    admitted: Instant,
    /// Whether it may be kept: a session in a template is in the way of whoever copies that.
    is_kept: bool,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        // With an answer outstanding the task would wait for it, on a frozen server for ever.
        self.task.abort();
    }
}

impl Line {
    /// Whether it was long ago that the server was seen to admit anybody.
    pub fn is_old(&self) -> bool {
        self.admitted.elapsed() > PROVED_FOR
    }

    /// Notes that the server admits others now.
    pub fn renew(&mut self) {
        self.admitted = Instant::now();
    }

    /// Sends a question whose statement is prepared at its first use. A line serves one question only.
    pub async fn ask(&mut self, sql: &str, parameter: &str) -> Result<String, Trouble> {
        let statement = match &self.statement {
            Some(statement) => statement.clone(),
            None => self.client.prepare(sql).await?,
        };
        self.statement = Some(statement.clone());
        let row = self.client.query_one(&statement, &[&parameter]).await?;
        Ok(row.try_get(0)?)
    }
}

impl Pool {
    /// A kept connection to a server, if there is one that is still open.
    pub fn take(&self, target: &SqlTarget) -> Option<Line> {
        self.sweep();
        let mut unused = self.unused.borrow_mut();
        unused.get_mut(&key(target))?.pop().map(|(_, line)| line)
    }

    /// Keeps a connection that works.
    pub fn put(&self, target: &SqlTarget, line: Line) {
        if !line.is_kept {
            return;
        }
        let mut unused = self.unused.borrow_mut();
        let lines = unused.entry(key(target)).or_default();
        if lines.len() < KEPT {
            lines.push((Instant::now(), line));
        }
    }

    /// Logs in; to the superuser's own database when none is named, or to another if that one is gone.
    pub async fn connect(&self, target: &SqlTarget, password: &str, database: Option<&str>) -> Result<Line, Trouble> {
        let first = self.login(target, (password, database.unwrap_or(SUPERUSER)), database.is_none());
        match first.await {
            Err(trouble) if database.is_none() && trouble.is_about_database() => {
                let elsewhere = self.login(target, (password, ELSEWHERE), true).await;
                let mut line = elsewhere.map_err(|_| trouble)?;
                line.is_kept = false;
                Ok(line)
            }
            outcome => outcome,
        }
    }

    /// Logs in with the settings that the server knows. A newer one may admit nobody without those that only it knows.
    async fn login(&self, target: &SqlTarget, to: (&str, &str), in_catalog: bool) -> Result<Line, Trouble> {
        let known = self.is_newer.borrow().get(&target.container).copied();
        let learn = |is_newer| {
            self.is_newer.borrow_mut().insert(target.container.clone(), is_newer);
        };
        let first = login(target, to, (in_catalog, known.unwrap_or_default())).await;
        let trouble = match (first, known) {
            // Its own settings are in force from the next login on.
            (Ok((_, true)), None) => {
                learn(true);
                let (line, _) = login(target, to, (in_catalog, true)).await?;
                return Ok(line);
            }
            (Ok((line, is_newer)), _) => {
                learn(is_newer);
                return Ok(line);
            }
            (Err(trouble), Some(true)) if trouble.is(&SqlState::UNDEFINED_OBJECT) => trouble,
            (Err(trouble), None) if trouble.may_be_of_newer() => trouble,
            (Err(trouble), _) => return Err(trouble),
        };
        let is_newer = known.is_none();
        learn(is_newer);
        if matches!(trouble, Trouble::Late(_)) {
            return Err(trouble);
        }
        let (line, is_newer) = login(target, to, (in_catalog, is_newer)).await.map_err(|_| trouble)?;
        learn(is_newer);
        Ok(line)
    }

    /// Forgets what is closed or was not used for long.
    fn sweep(&self) {
        self.unused.borrow_mut().retain(|_, lines| {
            lines.retain(|(since, line)| !line.client.is_closed() && since.elapsed() < KEPT_FOR);
            !lines.is_empty()
        });
    }
}

fn key(target: &SqlTarget) -> Key {
    (target.container.clone(), format!("{}:{}", target.address, target.port))
}

/// Whether a server makes new sessions.
pub async fn admits(target: &SqlTarget) -> bool {
    let knock = async {
        let mut stream = TcpStream::connect((target.address.as_str(), target.port)).await?;
        stream.write_all(&SSL_REQUEST).await?;
        stream.read_u8().await
    };
    timeout(PROOF_DEADLINE, knock).await.is_ok_and(|answer| answer.is_ok())
}

/// Logs in once; says too whether the server is PostgreSQL 17 or later.
async fn login(
    target: &SqlTarget,
    (password, database): (&str, &str),
    (in_catalog, is_newer): (bool, bool),
) -> Result<(Line, bool), Trouble> {
    let newer = SESSION_17.iter().filter(|_| is_newer);
    let settings = SESSION.iter().chain(newer);
    let mut options: Vec<String> = settings.map(|setting| format!("-c {setting}")).collect();
    if in_catalog {
        // A superuser must not run functions that somebody put into a schema of the search path. An extension,
        // on the other hand, is made in the schema that the path says.
        options.push("-c search_path=pg_catalog".to_owned());
    }
    let mut config = Config::new();
    config
        .host(&target.address)
        .port(target.port)
        .user(SUPERUSER)
        .password(password)
        .dbname(database)
        .application_name(APPLICATION_NAME)
        .options(options.join(" "))
        .connect_timeout(CONNECT_DEADLINE);
    let login = timeout(LOGIN_DEADLINE, config.connect(NoTls)).await;
    let (client, connection) = login.map_err(|_| Trouble::Late(LOGIN_DEADLINE))??;
    let version = connection.parameter("server_version").unwrap_or_default();
    let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let is_newer = major.parse::<u32>().is_ok_and(|major| major >= 17);
    let task = tokio::task::spawn_local(async move {
        // Its error comes to whoever waits for an answer.
        let _ = connection.await;
    });
    let line = Line {
        client,
        statement: None,
        admitted: Instant::now(),
        is_kept: true,
        task,
    };
    Ok((line, is_newer))
}
