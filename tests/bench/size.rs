//! What the agent takes of the machine that the databases are on.

use crate::Done;
use crate::idle;
use crate::live::{BINARY, Live};
use crate::table::{Limit, Table};

const RESIDENT_MB: f64 = 25.0;
const CPU_PERCENT: f64 = 0.5;
const BINARY_MB: f64 = 15.0;

/// Looks at the agent at rest and at its program.
pub async fn run(live: &Live<'_>) -> Done<Table> {
    let rest = idle::rest(live).await?;
    let seconds = rest.seconds;
    let mut table = Table::new("size: the agent at rest with the quickstart");
    let what = format!("resident memory after {seconds:.0} s");
    table.once(what, rest.resident_mb, "MB", Limit::Most(RESIDENT_MB));
    let percent = rest.cpu_ms / (seconds * 1e3) * 100.0;
    let what = format!("share of one processor over {seconds:.0} s");
    table.once(what, percent, "%", Limit::Most(CPU_PERCENT));
    let binary_mb = std::fs::metadata(BINARY)?.len() as f64 / 1e6;
    table.once("the program's file", binary_mb, "MB", Limit::Most(BINARY_MB));
    Ok(table)
}
