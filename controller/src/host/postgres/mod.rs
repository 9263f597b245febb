//! PostgreSQL servers: asks one for all its facts in one round trip, and sends it statements. What to make of the facts
//! and which statements to send is decided elsewhere.

mod facts;
mod failure;
mod pool;
mod statements;
#[cfg(test)]
mod tests;
mod verifier;
pub mod wal;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use self::facts::Asked;
use self::failure::Trouble;
use self::pool::{Line, Pool};
use self::statements::Script;
use self::verifier::Verifiers;
use super::{FailureKind, HostError, PostgresRead, PostgresWrite, Secrets};
use crate::model::plan::SqlTarget;
use crate::model::postgres::{ExtensionFacts, PgFacts, PgQuestion, RoleChange, Server, SqlOp};

/// The extensions of one database, by name.
type Extensions = BTreeMap<String, ExtensionFacts>;

/// How long a server may take to give its facts, login included. It takes milliseconds when all is well.
const FACTS_DEADLINE: Duration = Duration::from_secs(3);
/// How long looking into one database may take, login included.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);
/// How long after the first database another one is looked into: everything else waits for it.
const LOOKS_FOR: Duration = Duration::from_secs(3);
/// How many databases are looked into in one pass.
const LOOKS_PER_PASS: usize = 20;
/// How long a look counts where there are more.
const LOOKED_FOR: Duration = Duration::from_secs(50);
/// How long statements are sent in one go: what else is to be done to the server waits for them.
const BATCH_FOR: Duration = Duration::from_secs(20);
/// How much longer than the server's own deadline a statement's outcome is waited for: its own words are better.
const GRACE: Duration = Duration::from_secs(2);

/// PostgreSQL servers, as the superuser. Lives in one thread, in a [`tokio::task::LocalSet`].
pub struct Postgres {
    secrets: Rc<dyn Secrets>,
    pool: Pool,
    verifiers: RefCell<Verifiers>,
    /// Whose turn it is to change contents or to look into a database, by container. With one connection for that and those that
    /// are kept, the agent has no more than a server reserves for superusers (`superuser_reserved_connections`).
    gates: RefCell<BTreeMap<String, Rc<Mutex<()>>>>,
    /// The extensions of databases that were looked into lately, by container and name.
    looked: RefCell<BTreeMap<(String, String), (Instant, Extensions)>>,
}

impl PostgresRead for Postgres {
    async fn server(&self, target: &SqlTarget, question: &PgQuestion) -> Server {
        let asked = timeout(FACTS_DEADLINE, self.facts(target, question)).await;
        match asked.unwrap_or(Err(Trouble::Late(FACTS_DEADLINE))) {
            Ok(mut facts) => {
                facts.extensions = self.extensions(target, &question.look_into).await;
                Server::Up(Box::new(facts))
            }
            Err(trouble) => {
                let (down, why) = trouble.down();
                Server::Down(down, why)
            }
        }
    }
}

impl PostgresWrite for Postgres {
    async fn sql(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), HostError> {
        let SqlOp::Many(ops) = op else {
            return self.single(target, op).await;
        };
        let mut failures = Vec::new();
        let began = Instant::now();
        for (done, op) in ops.iter().enumerate() {
            if began.elapsed() >= BATCH_FOR {
                let why = format!(
                    "after {} s {} are left for the next look",
                    BATCH_FOR.as_secs(),
                    ops.len() - done
                );
                failures.push(HostError::new(
                    FailureKind::Other,
                    SqlOp::Many(ops.clone()).to_string(),
                    why,
                ));
                break;
            }
            match self.single(target, op).await {
                Ok(()) => {}
                Err(error) if error.kind == FailureKind::Unreachable => return Err(error),
                Err(error) => failures.push(error),
            }
        }
        let others = failures.len().saturating_sub(1);
        match failures.into_iter().next() {
            None => Ok(()),
            Some(first) if others == 0 => Err(first),
            Some(first) => Err(HostError {
                why: format!("{}; {others} more failed", first.why),
                ..first
            }),
        }
    }
}

impl Postgres {
    /// Servers whose passwords are in `secrets`.
    pub fn new(secrets: Rc<dyn Secrets>) -> Self {
        Postgres {
            secrets,
            pool: Pool::default(),
            verifiers: RefCell::default(),
            gates: RefCell::default(),
            looked: RefCell::default(),
        }
    }

    /// Carries one statement out. What makes and changes contents takes turns: a server has few connections to spare, and
    /// its clients want them too.
    async fn single(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), HostError> {
        let is_content = matches!(
            op,
            SqlOp::Role(_)
                | SqlOp::CreateDatabase { .. }
                | SqlOp::DatabaseOwner { .. }
                | SqlOp::OpenDatabase(_)
                | SqlOp::CreateExtension { .. }
                | SqlOp::UpdateExtension { .. }
                | SqlOp::MoveExtension { .. }
        );
        let gate = self.gate(target);
        let _turn = match is_content {
            true => Some(gate.lock().await),
            false => None,
        };
        if let SqlOp::CreateExtension { database, .. }
        | SqlOp::UpdateExtension { database, .. }
        | SqlOp::MoveExtension { database, .. } = op
        {
            let key = (target.container.clone(), database.clone());
            self.looked.borrow_mut().remove(&key);
        }
        self.carry_out(target, op).await.map_err(|trouble| {
            let container: String = target.container.chars().take(12).collect();
            trouble.host_error(format!("{op} on container {container}"))
        })
    }

    fn gate(&self, target: &SqlTarget) -> Rc<Mutex<()>> {
        let mut gates = self.gates.borrow_mut();
        gates.retain(|_, gate| Rc::strong_count(gate) > 1);
        Rc::clone(gates.entry(target.container.clone()).or_default())
    }

    async fn facts(&self, target: &SqlTarget, question: &PgQuestion) -> Result<PgFacts, Trouble> {
        if let Some(mut line) = self.pool.take(target) {
            let is_old = line.is_old();
            let admits = async { !is_old || pool::admits(target).await };
            match tokio::join!(admits, self.ask(&mut line, question)) {
                (true, Ok(facts)) => {
                    if is_old {
                        line.renew();
                    }
                    self.pool.put(target, line);
                    return Ok(facts);
                }
                (true, Err(trouble)) if !trouble.breaks_connection() => return Err(trouble),
                // The server restarted since, somebody ended the session, or nobody else gets in: a login tells.
                _ => {}
            }
        }
        let mut line = self.connect(target, None).await?;
        let facts = self.ask(&mut line, question).await?;
        self.pool.put(target, line);
        Ok(facts)
    }

    async fn ask(&self, line: &mut Line, question: &PgQuestion) -> Result<PgFacts, Trouble> {
        let pages = question.places.iter();
        let pages: BTreeSet<(u32, u64)> = pages.map(|place| (place.timeline, wal::page_of(place.lsn).0)).collect();
        let mark = question.mark.as_ref().map(|mark| mark.place);
        let asked = Asked {
            directory: &question.directory,
            files: &question.files,
            sizes: question.sizes,
            mark: mark.map(|place| (place.timeline, place.lsn.0)),
            pages: &pages.into_iter().collect::<Vec<_>>(),
        };
        let (answer, problem) = match line.ask(facts::SQL, &asked.text()).await {
            // A file that the server may not read fails the whole question. Without the files all else is known, and
            // that they are missing from the facts has them delivered anew.
            Err(trouble) if trouble.is_refusal() => {
                let asked = Asked { files: &[], ..asked };
                let problem = format!("a file in {} cannot be read: {}", question.directory, trouble.words());
                (line.ask(facts::SQL, &asked.text()).await?, Some(problem))
            }
            answer => (answer?, None),
        };
        let passwords = self.passwords(question);
        let mut facts = facts::read(&answer, question, &passwords, &mut self.verifiers.borrow_mut())?;
        facts.conf_errors.extend(problem);
        Ok(facts)
    }

    /// The wanted passwords. One that cannot be had is left out: nothing is known of whether it fits.
    fn passwords(&self, question: &PgQuestion) -> BTreeMap<String, Option<String>> {
        let known = question.passwords.iter().filter_map(|(role, secret)| {
            let password = self.secrets.peek(secret).ok()?;
            Some((role.clone(), password))
        });
        known.collect()
    }

    /// The extensions of databases. One that does not let us in is left out, and so is what there is no time for; it is looked
    /// into again.
    async fn extensions(&self, target: &SqlTarget, databases: &[String]) -> BTreeMap<String, Extensions> {
        let key = |database: &String| (target.container.clone(), database.clone());
        let is_many = databases.len() > LOOKS_PER_PASS;
        let mut found = BTreeMap::new();
        if is_many {
            let mut looked = self.looked.borrow_mut();
            looked.retain(|_, (at, _)| at.elapsed() < LOOKED_FOR);
            let known = databases
                .iter()
                .filter_map(|name| Some((name, looked.get(&key(name))?)));
            found.extend(known.map(|(name, (_, extensions))| (name.clone(), extensions.clone())));
        }
        let due: Vec<&String> = databases.iter().filter(|name| !found.contains_key(*name)).collect();
        let gate = self.gate(target);
        let Ok(_turn) = gate.try_lock() else {
            return found;
        };
        let began = Instant::now();
        for database in due.into_iter().take(LOOKS_PER_PASS) {
            if began.elapsed() >= LOOKS_FOR {
                break;
            }
            let look = timeout(LOOK_DEADLINE, self.extensions_of(target, database)).await;
            let Ok(Ok(extensions)) = look else {
                continue;
            };
            if is_many {
                let look = (Instant::now(), extensions.clone());
                self.looked.borrow_mut().insert(key(database), look);
            }
            found.insert(database.clone(), extensions);
        }
        found
    }

    async fn extensions_of(&self, target: &SqlTarget, database: &str) -> Result<Extensions, Trouble> {
        let line = self.connect(target, Some(database)).await?;
        let sql = "SELECT e.extname, e.extversion, n.nspname::text, e.extrelocatable FROM pg_catalog.pg_extension AS e \
                   JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace";
        let rows = line.client.query(sql, &[]).await?;
        let read = |row: &tokio_postgres::Row| {
            let facts = ExtensionFacts {
                version: row.try_get(1)?,
                schema: row.try_get(2)?,
                is_relocatable: row.try_get(3)?,
            };
            Ok((row.try_get(0)?, facts))
        };
        rows.iter().map(read).collect()
    }

    async fn connect(&self, target: &SqlTarget, database: Option<&str>) -> Result<Line, Trouble> {
        // Logging in makes no password: one that nobody has set yet cannot be the right one.
        let password = self.secrets.peek(&target.password).map_err(Trouble::Secret)?;
        let password = password.ok_or_else(|| Trouble::Forgotten(target.password.clone()))?;
        self.pool.connect(target, &password, database).await
    }

    async fn carry_out(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), Trouble> {
        // The server gets a verifier, never the password: statements end up in logs and in statistics.
        let verifier = match op {
            SqlOp::Role(RoleChange {
                password: Some(secret),
                create,
                ..
            }) => {
                let password = match create {
                    true => self.secrets.make(secret),
                    false => self.secrets.reveal(secret),
                };
                let password = password.map_err(Trouble::Secret)?;
                let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
                self.verifiers.borrow_mut().made(&verifier, &password);
                Some(verifier)
            }
            _ => None,
        };
        let script = statements::script(op, verifier.as_deref());
        let kept = if script.database.is_none() {
            self.pool.take(target)
        } else {
            None
        };
        let line = match kept {
            Some(line) => line,
            None => self.connect(target, script.database.as_deref()).await?,
        };
        let outcome = send(&line, &script).await;
        let usable = outcome.is_ok() || outcome.as_ref().is_err_and(Trouble::is_refusal);
        if usable && script.database.is_none() {
            self.pool.put(target, line);
        }
        outcome
    }
}

/// Sends a script's steps until one fails.
async fn send(line: &Line, script: &Script) -> Result<(), Trouble> {
    for step in &script.steps {
        match (one(line, script, step).await, &script.already) {
            (Err(trouble), Some((state, instead))) if trouble.is(state) => {
                for step in instead {
                    one(line, script, step).await?;
                }
                return Ok(());
            }
            (outcome, _) => outcome?,
        }
    }
    Ok(())
}

/// Sends one statement with its deadline around it, all in one go: during a promotion every round trip counts.
async fn one(line: &Line, script: &Script, step: &str) -> Result<(), Trouble> {
    let limit = format!("SET statement_timeout = {}", script.deadline.as_millis());
    let all = async {
        tokio::join!(
            line.client.batch_execute(&limit),
            line.client.batch_execute(step),
            line.client.batch_execute("RESET statement_timeout"),
        )
    };
    let sent = timeout(script.deadline + GRACE, all).await;
    let (_, outcome, _) = sent.map_err(|_| Trouble::Late(script.deadline))?;
    Ok(outcome?)
}
