//! Members of any product, as SQL shows them: one accepts writes, the others stream from it.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::Done;
use crate::sql::{self, Address};

/// How often something is asked for that is about to happen.
const POLL: Duration = Duration::from_millis(10);
/// How long replicas may take to stream again: the peers' timeouts are up to half a minute each.
const PATIENCE: Duration = Duration::from_secs(240);
/// What a replica's stream is not: one that seeds another one.
const STREAMS: &str = "select pid from pg_stat_replication where state = 'streaming' \
                       and application_name <> 'pg_basebackup' order by pid";

/// The member that accepts writes, and a connection to it; none while two do: a deposed one may not know it yet.
pub async fn primary(members: &[Address]) -> Option<(usize, Client)> {
    let mut found = None;
    for (at, member) in members.iter().enumerate() {
        let Ok(client) = sql::connect(member).await else {
            continue;
        };
        let Ok(row) = client.query_one("select pg_is_in_recovery()", &[]).await else {
            continue;
        };
        if !row.get::<_, bool>(0) && found.replace((at, client)).is_some() {
            return None;
        }
    }
    found
}

/// The streams to replicas, by the primary's processes.
pub async fn streams(primary: &Client) -> Done<Vec<i32>> {
    let rows = primary.query(STREAMS, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Waits until one member, and not `old`, is the primary, and every other one streams from it.
pub async fn wait_for_streams(members: &[Address], old: Option<usize>) -> Done<(usize, Client)> {
    let begin = Instant::now();
    loop {
        if let Some((at, client)) = primary(members).await
            && Some(at) != old
            && streams(&client)
                .await
                .is_ok_and(|streams| streams.len() + 1 == members.len())
        {
            return Ok((at, client));
        }
        if begin.elapsed() > PATIENCE {
            return Err("not every replica streams again".into());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until as many streams as before are there and they are not all the same.
pub async fn wait_for_new_stream(primary: &Client, before: &[i32]) -> Done<()> {
    let begin = Instant::now();
    loop {
        let now = streams(primary).await?;
        if now.len() == before.len() && now != before {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            return Err("a killed replica does not stream again".into());
        }
        tokio::time::sleep(POLL).await;
    }
}
