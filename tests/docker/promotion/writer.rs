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
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<i64>>>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Makes the table and begins to write, through the published ports of `members`.
    pub fn start(world: &World, members: &[&str]) -> Writer {
        world.sql(members[0], "postgres", "create table written (id bigint primary key)");
        let password = world.state_dir().join("secrets").join(&world.name).join("postgres");
        let password = std::fs::read_to_string(password).unwrap();
        let mut config = Config::new();
        config.user("postgres").password(password.trim()).dbname("postgres");
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(Duration::from_millis(300));
        for (offset, _) in (0_u16..).zip(members) {
            config.host("127.0.0.1").port(world.base_port + offset);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (ending, ids) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(write(&config, &ending, &ids));
        });
        Writer {
            stop,
            acknowledged,
            thread,
        }
    }

    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
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

    /// Stops writing; the ids that were acknowledged.
    pub fn stop(self) -> Vec<i64> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.acknowledged.lock().unwrap().clone()
    }
}

async fn write(config: &Config, stop: &AtomicBool, acknowledged: &Mutex<Vec<i64>>) {
    let mut id: i64 = 0;
    while !stop.load(Ordering::SeqCst) {
        let connected = tokio::time::timeout(Duration::from_secs(1), config.connect(NoTls)).await;
        let Ok(Ok((client, connection))) = connected else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let connection = tokio::spawn(connection);
        while !stop.load(Ordering::SeqCst) {
            // An id is tried once: whether a write without an answer took place is not known, and is not claimed.
            id += 1;
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&id];
            let insert = client.execute("insert into written values ($1)", &values);
            match tokio::time::timeout(Duration::from_secs(2), insert).await {
                Ok(Ok(1)) => acknowledged.lock().unwrap().push(id),
                _ => break,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        connection.abort();
    }
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
