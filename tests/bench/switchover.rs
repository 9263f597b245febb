//! A planned switchover: how long a client gets no acknowledgement, beside the fastest script; and that nothing is lost.

use std::time::Instant;

use crate::Done;
use crate::bare::Pair;
use crate::live::{Live, MEMBERS};
use crate::log::Line;
use crate::sql::{self, Address};
use crate::table::{Limit, Samples, Table};
use crate::writer::{Writer, make_table};

/// How many times the bare recipe's outage the agent's may be.
const TIMES_BARE: f64 = 1.5;
/// Acknowledged rows before and after a switchover, so that its gap lies between two.
const AROUND: usize = 60;

/// The parts of a switchover by the agent: each begins with the step that has these words and ends with the next one's.
const PARTS: [(&str, &str); 3] = [
    (
        "because fenced",
        "- fence and checkpoint, while the old primary still serves",
    ),
    ("send SIGINT", "- signal -> promotion request"),
    (": promote, because", "- promotion request -> the new primary is seen"),
];
/// The step that ends the last part.
const SEEN: &str = "is the primary, because";

/// The parts of a switchover by script.
const BARE_PARTS: [&str; 2] = [
    "- signal -> the old primary is down",
    "- promotion request -> the new primary is one",
];

/// What the rounds of one side came to.
#[derive(Default)]
struct Side {
    outage: Samples,
    lost: usize,
    next: i64,
}

/// Switches over again and again, in turn under the agent and by script.
pub async fn run(live: &Live<'_>) -> Done<Table> {
    let mut pair = Pair::make(live.place).await?;
    make_table(&pair.connect().await?).await?;
    live.settle().await?;
    make_table(&sql::connect_patiently(&live.address(&live.primary().await?)?).await?).await?;
    let (mut agent, mut bare, mut command) = (Side::default(), Side::default(), Samples::default());
    let mut parts = [const { Samples::new() }; PARTS.len()];
    let mut bare_parts = [const { Samples::new() }; BARE_PARTS.len()];
    for round in 0..live.rounds(10) {
        live.settle().await?;
        let mark = live.log.end()?;
        command.push(by_agent(live, round, &mut agent).await?);
        take_apart(&live.log.since(mark)?, &mut parts);
        live.settle().await?;
        live.pause(true).await?;
        let outcome = by_script(&mut pair, &mut bare).await;
        live.pause(false).await?;
        for (samples, took_ms) in bare_parts.iter_mut().zip(outcome?) {
            samples.push(took_ms);
        }
    }
    live.settle().await?;
    let mut table = Table::new("switchover: a row every 5 ms, and the primary's role moves");
    table.row("without an acknowledged row, bare", &bare.outage, "ms", Limit::None);
    for (what, samples) in BARE_PARTS.into_iter().zip(&bare_parts) {
        table.row(what, samples, "ms", Limit::None);
    }
    let limit = Limit::Times(TIMES_BARE, bare.outage.median());
    table.row("without an acknowledged row, by the agent", &agent.outage, "ms", limit);
    for ((_, what), samples) in PARTS.iter().zip(&parts) {
        table.row(*what, samples, "ms", Limit::None);
    }
    table.row(
        "`reconciler promote`, until every replica follows",
        &command,
        "ms",
        Limit::None,
    );
    table.once(
        "acknowledged rows lost, bare",
        bare.lost as f64,
        "rows",
        Limit::Most(0.0),
    );
    table.once(
        "acknowledged rows lost, by the agent",
        agent.lost as f64,
        "rows",
        Limit::Most(0.0),
    );
    Ok(table)
}

/// One switchover by `reconciler promote`, to each member in turn. Returns how long the command took, in milliseconds.
async fn by_agent(live: &Live<'_>, round: usize, side: &mut Side) -> Done<f64> {
    let primary = live.primary().await?;
    let others: Vec<&str> = MEMBERS.into_iter().filter(|member| *member != primary).collect();
    let target = others[round % others.len()];
    let members: Done<Vec<Address>> = MEMBERS.into_iter().map(|member| live.address(member)).collect();
    let writer = Writer::start(members?, side.next);
    writer.wait_for(AROUND).await?;
    let begin = Instant::now();
    live.command(&["promote", target, "--cluster", &live.place.name])
        .await?;
    let took = begin.elapsed().as_secs_f64() * 1e3;
    writer.wait_for(AROUND).await?;
    let primary = sql::connect_patiently(&live.address(target)?).await?;
    end(writer, begin, &primary, side).await?;
    Ok(took)
}

/// Adds how long each part of one switchover took, where the log shows both its ends.
fn take_apart(lines: &[Line], parts: &mut [Samples]) {
    let at = |words: &str| lines.iter().find(|line| line.is_step_of(words)).map(|line| line.at);
    let ends = PARTS.iter().skip(1).map(|(words, _)| *words).chain([SEEN]);
    for (((begin, _), end), samples) in PARTS.iter().zip(ends).zip(parts) {
        if let (Some(begin), Some(end)) = (at(begin), at(end)) {
            samples.push((end - begin).as_seconds_f64() * 1e3);
        }
    }
}

/// One switchover by script. Returns how long its parts took, in milliseconds.
async fn by_script(pair: &mut Pair<'_>, side: &mut Side) -> Done<[f64; 2]> {
    let writer = Writer::start(pair.addresses(), side.next);
    writer.wait_for(AROUND).await?;
    let begin = Instant::now();
    let parts = pair.switch_over().await?;
    writer.wait_for(AROUND).await?;
    end(writer, begin, &pair.connect().await?, side).await?;
    pair.restore().await?;
    Ok(parts)
}

async fn end(writer: Writer, begin: Instant, primary: &tokio_postgres::Client, side: &mut Side) -> Done<()> {
    side.outage.push(writer.outage_ms(begin));
    let (lost, next) = writer.stop(primary).await?;
    side.lost += lost;
    side.next = next;
    Ok(())
}
