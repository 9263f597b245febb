//! A save: how long until the agent makes its first call, and until the change is live in every member.

use std::time::{Duration, Instant, SystemTime};

use futures_util::future::try_join_all;
use time::OffsetDateTime;
use tokio_postgres::Client;

use crate::Done;
use crate::live::{Live, MEMBERS};
use crate::log::Line;
use crate::sql;
use crate::table::{Limit, Samples, Table};

/// From the save to the first call, in milliseconds: an editor's user does not notice less.
const FIRST_CALL_MS: f64 = 100.0;
const POLL: Duration = Duration::from_millis(5);
/// A change that is not live by then is lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// Values of `log_min_duration_statement`: none of them is the one that the cluster was made with.
const VALUES_MS: [u64; 2] = [150, 160];

/// Saves again and again.
pub async fn run(live: &Live<'_>) -> Done<Table> {
    let mut members = Vec::new();
    for member in MEMBERS {
        members.push(sql::connect_patiently(&live.address(member)?).await?);
    }
    let (mut notice, mut first_call, mut in_force) = (Samples::default(), Samples::default(), Samples::default());
    for round in 0..live.rounds(20) {
        live.settle().await?;
        // A save comes at any moment between two passes.
        tokio::time::sleep(Duration::from_millis(200 + 37 * round as u64)).await;
        let wanted = VALUES_MS[round % 2];
        let mark = live.log.end()?;
        let saved = live.edit(wanted)?;
        in_force.push(all_have(&members, wanted, Instant::now()).await?);
        let lines = live.log.since(mark)?;
        notice.push(until(&lines, saved, Line::is_notice)?);
        first_call.push(until(&lines, saved, Line::is_call)?);
    }
    live.settle().await?;
    let mut table = Table::new("edit: a reloadable parameter is saved");
    table.row("save -> noticed", &notice, "ms", Limit::None);
    table.row("save -> first call", &first_call, "ms", Limit::Most(FIRST_CALL_MS));
    table.row("save -> live in all 3 members", &in_force, "ms", Limit::None);
    Ok(table)
}

/// Milliseconds until every member shows the value.
async fn all_have(members: &[Client], wanted_ms: u64, begin: Instant) -> Done<f64> {
    let wanted = format!("{wanted_ms}ms");
    let waits = members.iter().map(|member| async {
        loop {
            let row = member.query_one("show log_min_duration_statement", &[]).await?;
            if row.get::<_, &str>(0) == wanted {
                return Done::Ok(begin.elapsed());
            }
            if begin.elapsed() > PATIENCE {
                return Err("an edit did not become live".into());
            }
            tokio::time::sleep(POLL).await;
        }
    });
    let times = try_join_all(waits).await?;
    Ok(times.into_iter().max().unwrap_or_default().as_secs_f64() * 1e3)
}

/// Milliseconds from `begin` to the first line that is as wanted.
fn until(lines: &[Line], begin: SystemTime, is_wanted: impl Fn(&Line) -> bool) -> Done<f64> {
    let begin = OffsetDateTime::from(begin);
    let found = lines.iter().find(|line| line.at >= begin && is_wanted(line));
    let found = found.ok_or("the agent's log does not show what it did after a save")?;
    Ok((found.at - begin).as_seconds_f64() * 1e3)
}
