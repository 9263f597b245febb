//! A replica's container is killed: how long until it streams again, beside somebody who starts it at once.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::Done;
use crate::engine;
use crate::live::Live;
use crate::sql;
use crate::table::{Limit, Samples, Table};

/// How many times the bare recipe's time the agent may take.
const TIMES_BARE: f64 = 1.5;
const POLL: Duration = Duration::from_millis(5);
/// A replica that does not stream by then needs help.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills a replica again and again, in turn under the agent and without it.
pub async fn run(live: &Live<'_>) -> Done<Table> {
    let primary = live.primary().await?;
    let victim = if primary == "replica-2" {
        "replica-1"
    } else {
        "replica-2"
    };
    let connection = sql::connect_patiently(&live.address(&primary)?).await?;
    let (mut agent, mut bare) = (Samples::default(), Samples::default());
    for _ in 0..live.rounds(10) {
        live.settle().await?;
        agent.push(once(live, &connection, victim, false).await?);
        live.settle().await?;
        live.pause(true).await?;
        let outcome = once(live, &connection, victim, true).await;
        live.pause(false).await?;
        bare.push(outcome?);
    }
    live.settle().await?;
    let mut table = Table::new("kill: a replica's container is killed");
    table.row(
        "docker kill -> streams again, bare: docker start at once",
        &bare,
        "ms",
        Limit::None,
    );
    let limit = Limit::Times(TIMES_BARE, bare.median());
    table.row("docker kill -> streams again, by the agent", &agent, "ms", limit);
    Ok(table)
}

/// Milliseconds from the kill until the primary shows a new stream.
async fn once(live: &Live<'_>, primary: &Client, victim: &str, start: bool) -> Done<f64> {
    let container = live.container(victim);
    let before = sql::stream(primary, victim).await?;
    let begin = Instant::now();
    engine::signal(&live.place.engine, &container, "SIGKILL").await?;
    if start {
        engine::start(&live.place.engine, &container).await?;
    }
    loop {
        let now = sql::stream(primary, victim).await?;
        if now.is_some() && now != before {
            return Ok(begin.elapsed().as_secs_f64() * 1e3);
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("{victim} does not stream again after it was killed").into());
        }
        tokio::time::sleep(POLL).await;
    }
}
