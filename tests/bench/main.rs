//! What the agent costs and how fast it is: each figure beside its limit, or beside the bare recipe of the same run.
//!
//! `cargo bench --bench bench [-- [--quick] [--log FILE] SECTION...]`; the sections are edit, idle, kill, switchover,
//! reseed, size, dashboard and scale, and all of them when none is named. `--quick` makes few rounds, `--log` keeps the agent's log.
//!
//! Nothing is asserted: a shared machine is slow at times. The exit code is 1 only when a run could not be made.
//!
//! | room | what lives there |
//! |---|---|
//! | `edit`, `idle`, `kill`, `switchover`, `reseed`, `size`, `dashboard`, `scale` | one section each |
//! | `place` | the temporary directory, the agent's process, and the end of all that was made |
//! | `live` | the agent and its cluster, as a user has them |
//! | `bare`, `script.sh` | two servers without an agent, for the bare recipe |
//! | `writer` | the client that notes which writes were acknowledged and when |
//! | `sim` | an engine and its servers in memory |
//! | `engine`, `log`, `meter`, `sql`, `table` | small things that several sections need |

#[allow(dead_code, reason = "shared with the comparison in peers/")]
mod bare;
mod dashboard;
mod edit;
mod engine;
mod idle;
mod kill;
#[allow(dead_code, reason = "shared with the comparison in peers/")]
mod live;
mod log;
#[allow(dead_code, reason = "shared with the comparison in peers/")]
mod meter;
#[allow(dead_code, reason = "shared with the comparison in peers/")]
mod place;
mod reseed;
mod scale;
mod sim;
mod size;
#[allow(dead_code, reason = "shared with the comparison in peers/")]
mod sql;
mod switchover;
#[allow(dead_code, reason = "shared with the comparison in peers/")]
mod table;
#[allow(dead_code, reason = "shared with the comparison in peers/")]
mod writer;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;

use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};

use live::Live;
use place::Place;

/// Why a run could not be made.
type Failure = Box<dyn std::error::Error>;
/// What came of a part of a run.
type Done<T> = Result<T, Failure>;

/// The sections in their order, and whether each needs the engine.
const SECTIONS: [(&str, bool); 8] = [
    ("edit", true),
    ("idle", true),
    ("kill", true),
    ("switchover", true),
    ("reseed", true),
    ("size", true),
    ("dashboard", true),
    ("scale", false),
];

/// What was asked for.
struct Options {
    sections: Vec<(&'static str, bool)>,
    quick: bool,
    log: Option<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = options().and_then(|options| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, run(&options))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Done<Options> {
    let mut options = Options {
        sections: Vec::new(),
        quick: false,
        log: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // Cargo itself adds it.
            "--bench" => {}
            "--quick" => options.quick = true,
            "--log" => options.log = Some(arguments.next().ok_or("--log needs a file")?.into()),
            name => {
                let known = SECTIONS.iter().find(|(section, _)| *section == name);
                let names = SECTIONS.map(|(section, _)| section).join(", ");
                options
                    .sections
                    .push(*known.ok_or_else(|| format!("there is no section {name}; there are {names}"))?);
            }
        }
    }
    if options.sections.is_empty() {
        options.sections = SECTIONS.to_vec();
    }
    Ok(options)
}

/// Runs the sections; whatever ends them, all that was made goes first.
async fn run(options: &Options) -> Done<()> {
    let place = Place::new()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = AssertUnwindSafe(sections(options, &place)).catch_unwind() => {
            // The panic's own words are on standard error already.
            outcome.unwrap_or_else(|_| Err("a section panicked".into()))
        }
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    };
    if let Some(kept) = &options.log
        && let Err(error) = std::fs::copy(place.log(), kept)
    {
        eprintln!("the agent's log could not be kept: {error}");
    }
    place.sweep().await?;
    outcome
}

async fn sections(options: &Options, place: &Place) -> Done<()> {
    println!("{}", table::LEGEND);
    let needs_engine = options.sections.iter().any(|(_, needs_engine)| *needs_engine);
    let live = if needs_engine {
        Some(Live::start(place, options.quick).await?)
    } else {
        None
    };
    for (name, _) in &options.sections {
        let table = match (*name, &live) {
            ("edit", Some(live)) => edit::run(live).await?,
            ("idle", Some(live)) => idle::run(live).await?,
            ("kill", Some(live)) => kill::run(live).await?,
            ("switchover", Some(live)) => switchover::run(live).await?,
            ("reseed", Some(live)) => reseed::run(live).await?,
            ("size", Some(live)) => size::run(live).await?,
            ("dashboard", Some(live)) => dashboard::run(live).await?,
            _ => scale::run(options.quick).await?,
        };
        println!("{table}");
    }
    Ok(())
}
