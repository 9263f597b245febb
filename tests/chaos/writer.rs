//! A client that writes a row every few milliseconds to whoever accepts it, and remembers what was acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, NoTls};

use crate::cluster::{Cluster, PORTS};
use crate::host::Host;
use crate::{Done, lock};

/// What is written to.
pub const TABLE: &str = "create table written (id bigint primary key)";
/// Between two rows.
const PACE: Duration = Duration::from_millis(5);
/// How long a client stays with a host that does not answer.
const CONNECT: Duration = Duration::from_secs(1);
/// A write that takes longer is given up with its connection. It is not claimed, whether it took place or not.
const GIVE_UP: Duration = Duration::from_secs(3);

/// The client. Writes until it is stopped.
pub struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<(i64, Instant)>>>,
    thread: JoinHandle<()>,
    cluster: String,
    password: String,
}

/// What a client knows in the end.
pub struct Notes {
    /// The cluster.
    pub cluster: String,
    /// The acknowledged rows, and when.
    pub acknowledged: Vec<(i64, Instant)>,
    /// What the client logged in with all the time.
    pub password: String,
}

impl Writer {
    /// Begins to write, through the published ports.
    pub fn start(host: &Host, cluster: &Cluster) -> Done<Self> {
        let password = cluster.password(host)?;
        let hosts: Vec<Config> = (0..PORTS)
            .map(|n| host_config(cluster.base_port + n, &password))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (ending, notes) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || runtime.block_on(go_through(&hosts, &ending, &notes)));
        Ok(Writer {
            stop,
            acknowledged,
            thread,
            cluster: cluster.name.clone(),
            password,
        })
    }

    /// Whether another write is acknowledged within a time.
    pub fn wait_for_one(&self, limit: Duration) -> bool {
        let goal = lock(&self.acknowledged).len() + 1;
        let begin = Instant::now();
        while lock(&self.acknowledged).len() < goal {
            if begin.elapsed() > limit {
                return false;
            }
            std::thread::sleep(PACE);
        }
        true
    }

    /// Stops writing.
    pub fn stop(self) -> Notes {
        self.stop.store(true, Ordering::SeqCst);
        // Its own words, if it panicked, are on standard error; what it noted counts all the same.
        let _ = self.thread.join();
        Notes {
            cluster: self.cluster,
            acknowledged: std::mem::take(&mut *lock(&self.acknowledged)),
            password: self.password,
        }
    }
}

fn host_config(port: u16, password: &str) -> Config {
    let mut config = Config::new();
    config.user("postgres").password(password).dbname("postgres");
    config.host("127.0.0.1").port(port);
    config
}

/// Goes through the hosts as drivers do that have a list, and writes to the first that accepts it.
async fn go_through(hosts: &[Config], stop: &AtomicBool, acknowledged: &Mutex<Vec<(i64, Instant)>>) {
    let mut id: i64 = 0;
    while !stop.load(Ordering::SeqCst) {
        for host in hosts {
            // The limit is one of the whole: a frozen server's port takes the connection and says nothing.
            let Ok(Ok((client, connection))) = timeout(CONNECT, host.connect(NoTls)).await else {
                continue;
            };
            let connection = tokio::spawn(connection);
            let is_primary = is_writable(&client).await;
            if is_primary {
                write(&client, &mut id, stop, acknowledged).await;
            }
            connection.abort();
            if is_primary {
                break;
            }
        }
        sleep(PACE).await;
    }
}

async fn is_writable(client: &Client) -> bool {
    let asked = timeout(CONNECT, client.query_one("select pg_is_in_recovery()", &[])).await;
    matches!(asked, Ok(Ok(row)) if !row.get::<_, bool>(0))
}

/// Writes until the first failure.
async fn write(client: &Client, id: &mut i64, stop: &AtomicBool, acknowledged: &Mutex<Vec<(i64, Instant)>>) {
    while !stop.load(Ordering::SeqCst) {
        *id += 1;
        let row = *id;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&row];
        let insert = client.execute("insert into written values ($1)", &values);
        match timeout(GIVE_UP, insert).await {
            Ok(Ok(1)) => lock(acknowledged).push((row, Instant::now())),
            _ => return,
        }
        sleep(PACE).await;
    }
}
