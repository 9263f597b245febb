//! A gigabyte: how long until a replica that lost everything streams again, beside `pg_basebackup` and a start.

use std::time::{Duration, Instant};

use bollard::query_parameters::{RemoveContainerOptionsBuilder, RemoveVolumeOptions};
use tokio_postgres::Client;

use crate::Done;
use crate::bare::Pair;
use crate::live::Live;
use crate::sql;
use crate::table::{Limit, Samples, Table};

/// How many times the bare recipe's time the agent may take.
const TIMES_BARE: f64 = 1.2;
const POLL: Duration = Duration::from_millis(5);
/// A replica that does not stream by then needs help.
const PATIENCE: Duration = Duration::from_secs(180);
/// Rows of a kilobyte each.
const FILL: &str = "create table if not exists bench_filler as \
                    select n, repeat(md5(n::text), 30) as text from generate_series(1, 1000000) n";

/// Takes everything from a replica again and again, in turn under the agent and by script.
pub async fn run(live: &Live<'_>) -> Done<Table> {
    let pair = Pair::make_as(live.place, "reseed").await?;
    pair.connect().await?.batch_execute(FILL).await?;
    let primary = live.primary().await?;
    let victim = if primary == "replica-2" {
        "replica-1"
    } else {
        "replica-2"
    };
    let connection = sql::connect_patiently(&live.address(&primary)?).await?;
    connection.batch_execute(FILL).await?;
    let bytes: i64 = connection
        .query_one("select sum(pg_database_size(oid))::int8 from pg_database", &[])
        .await?
        .get(0);
    let (mut agent, mut bare) = (Samples::default(), Samples::default());
    for _ in 0..live.rounds(5) {
        live.settle().await?;
        connection.batch_execute("checkpoint").await?;
        agent.push(by_agent(live, &connection, victim).await?);
        live.settle().await?;
        live.pause(true).await?;
        let outcome = pair.reseed().await;
        live.pause(false).await?;
        bare.push(outcome?);
    }
    let title = format!("reseed: a replica of {:.2} GB lost everything", bytes as f64 / 1e9);
    let mut table = Table::new(&title);
    table.row(
        "nothing -> streams, bare: pg_basebackup and start",
        &bare,
        "ms",
        Limit::None,
    );
    let limit = Limit::Times(TIMES_BARE, bare.median());
    table.row("nothing -> streams, by the agent", &agent, "ms", limit);
    Ok(table)
}

/// Milliseconds from the moment at which the agent may see it until the primary shows the stream.
async fn by_agent(live: &Live<'_>, primary: &Client, victim: &str) -> Done<f64> {
    let members = live.cluster().await?.status.members;
    let member = members.into_iter().find(|member| member.name == victim);
    let volume = member.ok_or("the replica has no status")?.volume;
    let engine = &live.place.engine;
    live.pause(true).await?;
    let forced = RemoveContainerOptionsBuilder::new().force(true).build();
    engine.remove_container(&live.container(victim), Some(forced)).await?;
    engine.remove_volume(&volume, None::<RemoveVolumeOptions>).await?;
    let begin = Instant::now();
    live.pause(false).await?;
    while sql::stream(primary, victim).await?.is_none() {
        if begin.elapsed() > PATIENCE {
            return Err(format!("{victim} is not seeded").into());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}
