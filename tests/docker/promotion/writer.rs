//! A client that writes a row every few milliseconds to whoever accepts it, and remembers what was acknowledged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Config, NoTls};

use crate::world::World;

/// The client. Writes until it is stopped.
pub struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// What the client and the test say to each other.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    hold: AtomicBool,
    /// Nothing is under way, and nothing new is tried.
    holds: AtomicBool,
    acknowledged: Mutex<Vec<i64>>,
}

impl Writer {
    /// Makes the table and begins to write, through the published ports of `members`.
    pub fn start(world: &World, members: &[&str]) -> Writer {
        world.sql(members[0], "postgres", "create table written (id bigint primary key)");
        let password = std::fs::read_to_string(world.secret("postgres")).unwrap();
        let mut config = Config::new();
        config.user("postgres").password(password.trim()).dbname("postgres");
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(Duration::from_millis(300));
        for (offset, _) in (0_u16..).zip(members) {
            config.host("127.0.0.1").port(world.base_port + offset);
        }
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(write(&config, &theirs));
        });
        Writer { shared, thread }
    }

    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.lock().unwrap().len()
    }

    /// The ids that were acknowledged so far.
    pub fn ids(&self) -> Vec<i64> {
        self.shared.acknowledged.lock().unwrap().clone()
    }

    /// Waits until so many writes were acknowledged.
    pub fn wait_for(&self, count: usize) {
        let begin = Instant::now();
        while self.acknowledged() < count {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "writes are not accepted any more"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Has it pause; what it tried last has come to an end.
    pub fn hold(&self) {
        self.shared.hold.store(true, Ordering::SeqCst);
        let begin = Instant::now();
        while !self.shared.holds.load(Ordering::SeqCst) {
            assert!(begin.elapsed() < Duration::from_secs(60), "it does not pause");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Has it go on.
    pub fn release(&self) {
        self.shared.hold.store(false, Ordering::SeqCst);
    }

    /// Stops writing; the ids that were acknowledged.
    pub fn stop(self) -> Vec<i64> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.shared.acknowledged.lock().unwrap().clone()
    }
}

async fn write(config: &Config, shared: &Shared) {
    let mut id: i64 = 0;
    let goes_on = || !shared.stop.load(Ordering::SeqCst);
    while goes_on() {
        if pauses(shared).await {
            continue;
        }
        let connected = tokio::time::timeout(Duration::from_secs(1), config.connect(NoTls)).await;
        let Ok(Ok((client, connection))) = connected else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let connection = tokio::spawn(connection);
        while goes_on() {
            if pauses(shared).await {
                continue;
            }
            // An id is tried once: whether a write without an answer took place is not known, and is not claimed.
            id += 1;
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&id];
            let insert = client.execute("insert into written values ($1)", &values);
            match tokio::time::timeout(Duration::from_secs(2), insert).await {
                Ok(Ok(1)) => shared.acknowledged.lock().unwrap().push(id),
                _ => break,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        connection.abort();
    }
}

/// Whether it was told to pause; then some time has passed.
async fn pauses(shared: &Shared) -> bool {
    let hold = shared.hold.load(Ordering::SeqCst);
    shared.holds.store(hold, Ordering::SeqCst);
    if hold {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    hold
}

/// Acknowledged ids that a member does not have.
pub fn missing(world: &World, member: &str, acknowledged: &[i64]) -> Vec<i64> {
    let text = world.sql(member, "postgres", "select id from written");
    let present: BTreeSet<i64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(!present.is_empty(), "{text}");
    acknowledged
        .iter()
        .filter(|id| !present.contains(id))
        .copied()
        .collect()
}
