//! Connections to servers, as a client on the host has them: through the published port.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};

use crate::Done;

/// How long a client waits for one address.
pub const CONNECT: Duration = Duration::from_millis(200);

/// How long a server may take to be there, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a server is reached, as the superuser.
#[derive(Debug, Clone)]
pub struct Address {
    /// The published port.
    pub port: u16,
    /// The superuser's password.
    pub password: String,
}

/// Logs in.
pub async fn connect(address: &Address) -> Done<Client> {
    connect_within("127.0.0.1", address, CONNECT).await
}

/// Logs in under a name of the host, and says how long that may take.
pub async fn connect_within(host: &str, address: &Address, limit: Duration) -> Done<Client> {
    let mut config = Config::new();
    config
        .host(host)
        .port(address.port)
        .user("postgres")
        .password(&address.password)
        .dbname("postgres")
        .application_name("bench");
    let (client, connection) = timeout(limit, config.connect(NoTls)).await??;
    tokio::task::spawn_local(async move {
        // Its error comes to whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(client)
}

/// Logs in, trying again for a while.
pub async fn connect_patiently(address: &Address) -> Done<Client> {
    let begin = Instant::now();
    let mut last = None;
    while begin.elapsed() < PATIENCE {
        match connect(address).await {
            Ok(client) => return Ok(client),
            Err(failure) => last = Some(failure),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let why = last.map_or_else(String::new, |failure| failure.to_string());
    Err(format!("nobody answers on port {}: {why}", address.port).into())
}

/// When a standby's present stream began on its primary, in seconds since the epoch; `None` while it does not stream.
pub async fn stream(primary: &Client, standby: &str) -> Done<Option<f64>> {
    let sql = "select extract(epoch from backend_start)::float8 from pg_stat_replication \
               where application_name = $1 and state = 'streaming'";
    let row = primary.query_opt(sql, &[&standby]).await?;
    Ok(row.map(|row| row.get(0)))
}
