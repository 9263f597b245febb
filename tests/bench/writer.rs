//! A client that writes a row every few milliseconds, and notes which rows were acknowledged and when.
//!
//! It looks for the primary in one of two ways. The patient one does what the best of clients could: it keeps a
//! connection to every member and asks each whether it is the primary now, so that what is measured is the cluster and
//! not a driver's way through a list of hosts. The other one goes through such a list as drivers do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_postgres::Client;

use crate::Done;
use crate::sql::{self, Address};

/// Between two rows, and between two questions to a member that is not the primary.
const PACE: Duration = Duration::from_millis(5);
/// How long a driver stays with one host of its list: the least that libpq's `connect_timeout` was made for.
const PER_HOST: Duration = Duration::from_secs(1);
/// A write that takes longer is given up, with its connection.
const GIVE_UP: Duration = Duration::from_secs(1);

/// Some peers take a minute to replace a primary.
const PATIENCE: Duration = Duration::from_secs(180);

/// The client.
pub struct Writer {
    notes: Rc<Notes>,
    tasks: Vec<JoinHandle<()>>,
}

/// What a client knows.
#[derive(Default)]
pub struct Notes {
    next: Cell<i64>,
    acknowledged: RefCell<Vec<(i64, Instant)>>,
    tell: Option<fn(i64)>,
}

impl Notes {
    /// None yet; each is told as it comes.
    pub fn beginning_at(first: i64, tell: fn(i64)) -> Self {
        Notes {
            next: Cell::new(first),
            tell: Some(tell),
            ..Notes::default()
        }
    }

    /// An acknowledgement has come just now.
    pub fn acknowledge(&self, id: i64) {
        self.next.set(self.next.get().max(id + 1));
        match self.tell {
            Some(tell) => tell(id),
            None => self.acknowledged.borrow_mut().push((id, Instant::now())),
        }
    }
}

/// Makes the table that is written to.
pub async fn make_table(primary: &Client) -> Done<()> {
    let sql = "create table if not exists bench_write (id bigint primary key)";
    Ok(primary.batch_execute(sql).await?)
}

impl Writer {
    /// Begins to write, to whichever of the members is the primary. The first row is `first`.
    pub fn start(members: Vec<Address>, first: i64) -> Self {
        let notes = Rc::new(Notes::default());
        notes.next.set(first);
        let task = |address| tokio::task::spawn_local(follow(address, Rc::clone(&notes)));
        let tasks = members.into_iter().map(task).collect();
        Writer { notes, tasks }
    }

    /// Begins to write as a driver does that has a list of hosts and asks for the one that accepts writes.
    pub fn start_with_list(members: Vec<Address>, first: i64) -> Self {
        Self::start_with(first, |notes| async move {
            let hosts: Vec<_> = members.into_iter().map(|m| ("127.0.0.1".to_owned(), m)).collect();
            go_through(&hosts, &notes).await;
        })
    }

    /// Begins to write by a task that notes what is acknowledged.
    pub fn start_with<F: Future<Output = ()> + 'static>(first: i64, task: impl FnOnce(Rc<Notes>) -> F) -> Self {
        let notes = Rc::new(Notes::default());
        notes.next.set(first);
        let tasks = vec![tokio::task::spawn_local(task(Rc::clone(&notes)))];
        Writer { notes, tasks }
    }

    /// Waits for a number of acknowledged rows beyond those there are.
    pub async fn wait_for(&self, rows: usize) -> Done<()> {
        let goal = self.notes.acknowledged.borrow().len() + rows;
        let begin = Instant::now();
        while self.notes.acknowledged.borrow().len() < goal {
            if begin.elapsed() > PATIENCE {
                return Err("no member accepts writes".into());
            }
            sleep(PACE).await;
        }
        Ok(())
    }

    /// The longest time without an acknowledged row, in milliseconds, among those that ended after `begin`.
    pub fn outage_ms(&self, begin: Instant) -> f64 {
        let acknowledged = self.notes.acknowledged.borrow();
        let gaps = acknowledged.windows(2).filter(|pair| pair[1].1 > begin);
        gaps.map(|pair| (pair[1].1 - pair[0].1).as_secs_f64() * 1e3)
            .fold(0.0, f64::max)
    }

    /// Stops writing. Returns the acknowledged rows that `primary` does not have, and the first row that was not used.
    pub async fn stop(self, primary: &Client) -> Done<(usize, i64)> {
        for task in &self.tasks {
            task.abort();
        }
        let rows = primary.query("select id from bench_write", &[]).await?;
        let present: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        let acknowledged = self.notes.acknowledged.borrow();
        let lost = acknowledged.iter().filter(|(id, _)| !present.contains(id));
        Ok((lost.count(), self.notes.next.get()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Keeps to one member, for ever.
async fn follow(address: Address, notes: Rc<Notes>) {
    loop {
        if let Ok(client) = sql::connect(&address).await {
            // It broke off; the next connection shows whether the member is still there.
            let _ = serve(&client, &notes).await;
        }
        sleep(PACE).await;
    }
}

/// Goes through a list of hosts for ever, and writes to the first that accepts it. After each failure it begins at the top.
pub async fn go_through(hosts: &[(String, Address)], notes: &Notes) {
    loop {
        for (host, address) in hosts {
            let Ok(client) = sql::connect_within(host, address, PER_HOST).await else {
                continue;
            };
            if !is_writable(&client).await {
                continue;
            }
            // It broke off.
            let _ = write(&client, notes).await;
            break;
        }
        sleep(PACE).await;
    }
}

async fn is_writable(client: &Client) -> bool {
    let asked = timeout(PER_HOST, client.query_one("select pg_is_in_recovery()", &[])).await;
    matches!(asked, Ok(Ok(row)) if !row.get::<_, bool>(0))
}

/// Asks a member whether it is the primary, and writes as soon as it is; ends when the member breaks off.
async fn serve(client: &Client, notes: &Notes) -> Done<Infallible> {
    let ask = client.prepare("select pg_is_in_recovery()").await?;
    while timeout(GIVE_UP, client.query_one(&ask, &[])).await??.get(0) {
        sleep(PACE).await;
    }
    // Promotions keep sessions: this one goes on as the primary's, until the server goes away.
    write(client, notes).await
}

async fn write(client: &Client, notes: &Notes) -> Done<Infallible> {
    let insert = client
        .prepare("insert into bench_write values ($1) returning id")
        .await?;
    let mut due = tokio::time::Instant::now();
    loop {
        let id = notes.next.replace(notes.next.get() + 1);
        timeout(GIVE_UP, client.query_one(&insert, &[&id])).await??;
        notes.acknowledge(id);
        due += PACE;
        sleep_until(due).await;
    }
}
