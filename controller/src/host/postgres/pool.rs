//! Connections. One that was used is kept for the next pass, because a login costs more than all the questions of a
//! pass; one that failed is dropped.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::failure::Trouble;
use crate::model::plan::SqlTarget;

/// The superuser that `initdb` makes, and the database that it makes for it.
const SUPERUSER: &str = "postgres";
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

/// Settings of every session, sent with the login.
/// * A statement that the client gave up must not go on for ever.
/// * Nothing here waits for a synchronous standby: the role that standbys log in with is made by such a statement.
/// * The questions of every pass, and verifiers, stay out of the server's log.
/// * One plan of the facts serves all passes; compiling it would take longer than running it.
const SESSION: [&str; 12] = [
    "statement_timeout=5s",
    "lock_timeout=0",
    "idle_session_timeout=0",
    "default_transaction_read_only=off",
    "synchronous_commit=local",
    "client_min_messages=error",
    "log_statement=none",
    "log_duration=off",
    "log_min_duration_statement=-1",
    "log_min_error_statement=panic",
    "plan_cache_mode=force_generic_plan",
    "jit=off",
];

type Key = (String, String);
type Unused = (Instant, Line);

/// Unused connections, by container and address: both change when another server is behind the name.
#[derive(Default)]
pub struct Pool {
    unused: RefCell<BTreeMap<Key, Vec<Unused>>>,
}

/// An open connection.
pub struct Line {
    /// Its sending end.
    pub client: Client,
    statement: Option<Statement>,
    admitted: Instant,
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
        let mut unused = self.unused.borrow_mut();
        let lines = unused.entry(key(target)).or_default();
        if lines.len() < KEPT {
            lines.push((Instant::now(), line));
        }
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

/// Logs in; to the superuser's own database when none is named.
pub async fn connect(target: &SqlTarget, password: &str, database: Option<&str>) -> Result<Line, Trouble> {
    let mut options: Vec<String> = SESSION.iter().map(|setting| format!("-c {setting}")).collect();
    if database.is_none() {
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
        .dbname(database.unwrap_or(SUPERUSER))
        .application_name(APPLICATION_NAME)
        .options(options.join(" "))
        .connect_timeout(CONNECT_DEADLINE);
    let login = timeout(LOGIN_DEADLINE, config.connect(NoTls)).await;
    let (client, connection) = login.map_err(|_| Trouble::Late(LOGIN_DEADLINE))??;
    let task = tokio::task::spawn_local(async move {
        // Its error comes to whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(Line {
        client,
        statement: None,
        admitted: Instant::now(),
        task,
    })
}
