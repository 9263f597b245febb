//! Nothing to do: what a pass costs then, and that it changes nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::Done;
use crate::live::Live;
use crate::log::Line;
use crate::meter;
use crate::place::LABEL;
use crate::table::{Limit, Samples, Table};

/// Milliseconds of a pass over one cluster of three that has nothing to do.
const PASS_MS: f64 = 10.0;

/// What was seen of the agent while nothing happened.
#[derive(Debug, Clone)]
pub struct Rest {
    /// How long it was looked at, in seconds.
    pub seconds: f64,
    /// The processor time that it used, in milliseconds.
    pub cpu_ms: f64,
    /// The passes that it made.
    pub passes: u64,
    /// What it held of memory in the end, in MB.
    pub resident_mb: f64,
    /// The steps that it took.
    pub steps: usize,
    /// The events of its objects that were not the engine's own probes.
    pub events: Vec<String>,
}

/// Looks at the agent at rest, and then has it look on request.
pub async fn run(live: &Live<'_>) -> Done<Table> {
    let rest = rest(live).await?;
    let mut wall = Samples::default();
    let cpu_before = meter::cpu_ms(live.process)?;
    let passes_before = passes(live).await?;
    for _ in 0..live.rounds(50) {
        let begin = Instant::now();
        live.client.overview(true).await.map_err(|error| error.to_string())?;
        wall.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let forced = (passes(live).await? - passes_before) as f64;
    let cpu = meter::cpu_ms(live.process)? - cpu_before;
    let mut table = Table::new("idle: one cluster of three, nothing to do");
    let what = format!(
        "processor time per pass, {} passes in {:.0} s",
        rest.passes, rest.seconds
    );
    table.once(what, rest.cpu_ms / rest.passes as f64, "ms", Limit::Most(PASS_MS));
    let what = format!("processor time per pass, {forced} passes on request");
    table.once(what, cpu / forced, "ms", Limit::Most(PASS_MS));
    table.row("a fresh overview over the socket", &wall, "ms", Limit::Most(PASS_MS));
    table.once("steps taken meanwhile", rest.steps as f64, "steps", Limit::Most(0.0));
    let what = match rest.events.first() {
        Some(first) => format!("events that are no probe, the first being `{first}`"),
        None => "events that are no probe".to_owned(),
    };
    table.once(what, rest.events.len() as f64, "events", Limit::Most(0.0));
    Ok(table)
}

/// What was seen of the agent at rest; the first to ask waits for it.
pub async fn rest<'l>(live: &'l Live<'_>) -> Done<&'l Rest> {
    live.rest.get_or_try_init(|| look(live)).await
}

async fn look(live: &Live<'_>) -> Done<Rest> {
    live.settle().await?;
    // What the last change left to be cleaned up is not rest.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let events = Rc::new(RefCell::new(Vec::new()));
    let listener = listen(live, Rc::clone(&events));
    let (mark, passes_before) = (live.log.end()?, passes(live).await?);
    let (begin, cpu_before) = (Instant::now(), meter::cpu_ms(live.process)?);
    tokio::time::sleep(Duration::from_secs(if live.quick { 15 } else { 60 })).await;
    let cpu_ms = meter::cpu_ms(live.process)? - cpu_before;
    let seconds = begin.elapsed().as_secs_f64();
    let resident_mb = meter::resident_mb(live.process)?;
    listener.abort();
    let lines = live.log.since(mark)?;
    Ok(Rest {
        seconds,
        cpu_ms,
        resident_mb,
        passes: passes(live).await? - passes_before,
        steps: lines.iter().filter(|line| Line::is_step(line)).count(),
        events: events.take(),
    })
}

async fn passes(live: &Live<'_>) -> Done<u64> {
    let overview = live.client.overview(false).await;
    Ok(overview.map_err(|error| error.to_string())?.agent.passes)
}

/// Notes what happens to the run's objects.
fn listen(live: &Live<'_>, heard: Rc<RefCell<Vec<String>>>) -> JoinHandle<()> {
    let engine = live.place.engine.clone();
    let label = format!("{LABEL}={}", live.place.name);
    tokio::task::spawn_local(async move {
        let filters = HashMap::from([("label", vec![label])]);
        let mut events = engine.events(Some(EventsOptionsBuilder::new().filters(&filters).build()));
        while let Some(Ok(event)) = events.next().await {
            let action = event.action.unwrap_or_default();
            // The engine's own probe runs a program in the container; only the first of its events names the program.
            let is_probe = match action.strip_prefix("exec_create:") {
                Some(program) => program.contains("pg_isready"),
                None => action.starts_with("exec_") || action.starts_with("health_status"),
            };
            if !is_probe {
                heard.borrow_mut().push(action);
            }
        }
    })
}
