//! This product beside Patroni, pg_auto_failover and a script, in one run and with the same clients.
//!
//! `cargo bench --bench peers [-- [--rounds N] [--kills N] [--only NAME]... [--log FILE]]`; `tests/images/peers` makes
//! the image first. `--rounds` counts switchovers and what this product undergoes, `--kills` what makes the peers wait
//! for their timeouts. The contenders take turns, so that a slow minute of the machine hits all of them.
//!
//! Nothing is asserted: a shared machine is slow at times. The exit code is 1 only when a run could not be made.
//!
//! | room | what lives there |
//! |---|---|
//! | `contender` | who takes part, and what happens to it |
//! | `clients` | who writes meanwhile |
//! | `members` | what SQL says of any product's members |
//! | `peer`, `patroni`, `auto_failover`, `docker` | the peers' clusters |
//! | `report` | the tables |
//!
//! The other rooms are those of `make bench`.

// Each of the two programs needs other parts of the rooms that they share.
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../bare.rs"]
mod bare;
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../engine.rs"]
mod engine;
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../idle.rs"]
mod idle;
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../live.rs"]
mod live;
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../log.rs"]
mod log;
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../meter.rs"]
mod meter;
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../place.rs"]
mod place;
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../sql.rs"]
mod sql;
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../table.rs"]
mod table;
#[allow(dead_code, reason = "shared with the other bench")]
#[path = "../writer.rs"]
mod writer;

mod auto_failover;
mod clients;
mod contender;
mod docker;
mod members;
mod patroni;
mod peer;
mod report;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;

use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};

use bare::Pair;
use clients::Rows;
use contender::{Contender, Event, Keeper};
use live::Live;
use place::Place;
use report::Figures;

/// Why a run could not be made.
type Failure = Box<dyn std::error::Error>;
/// What came of a part of a run.
type Done<T> = Result<T, Failure>;

/// Who can take part, in the order of the tables.
const NAMES: [&str; 6] = [
    "reconciler",
    "bare recipe",
    "Patroni",
    "Patroni, tuned",
    "pg_auto_failover",
    "pg_auto_failover, tuned",
];
/// A dead primary is replaced where restarting it does not help.
const FAILOVER: &str = "  failover:\n    mode: automatic\n";

/// What was asked for.
struct Options {
    rounds: usize,
    kills: usize,
    only: Vec<String>,
    log: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = outcome.map_err(Failure::from).and_then(|runtime| {
        let local = tokio::task::LocalSet::new();
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [clients::CLIENT, host, first] => local.block_on(&runtime, clients::be_client(host, first.parse()?)),
            _ => local.block_on(&runtime, run(&options(&arguments)?)),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Done<Options> {
    let mut options = Options {
        rounds: 10,
        kills: 3,
        only: Vec::new(),
        log: None,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            // Cargo itself adds it.
            "--bench" => {}
            "--rounds" => options.rounds = value()?.parse()?,
            "--kills" => options.kills = value()?.parse()?,
            "--only" => options.only.push(value()?.clone()),
            "--log" => options.log = Some(value()?.into()),
            other => return Err(format!("there is no option {other}").into()),
        }
    }
    if let Some(unknown) = options.only.iter().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(format!("nobody is called {unknown}; there are {}", NAMES.join("; ")).into());
    }
    Ok(options)
}

/// Makes the run; whatever ends it, all that was made goes first.
async fn run(options: &Options) -> Done<()> {
    let place = Place::new()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = AssertUnwindSafe(compare(options, &place)).catch_unwind() => {
            // The panic's own words are on standard error already.
            outcome.unwrap_or_else(|_| Err("the run panicked".into()))
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

async fn compare(options: &Options, place: &Place) -> Done<()> {
    println!("{}", table::LEGEND);
    let mut contenders = Vec::new();
    let prefix = docker::make_network(place).await?;
    for name in NAMES {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            eprintln!("setting up {name}");
            let contender = set_up(place, &prefix, name).await?;
            let (_, primary) = members::wait_for_streams(&contender.addresses()?, None).await?;
            writer::make_table(&primary).await?;
            contenders.push(contender);
        }
    }
    let mut figures = Figures::default();
    for contender in &contenders {
        figures.memory(contender.name, contender.controllers_mb().await?);
    }
    for event in [
        Event::Switchover,
        Event::ReplicaKilled,
        Event::PrimaryKilled,
        Event::PrimaryGone,
    ] {
        for round in 0..options.rounds {
            for contender in contenders.iter_mut().filter(|contender| contender.takes(event)) {
                let is_slow = event == Event::PrimaryKilled && matches!(contender.keeper, Keeper::Peer(_));
                if !is_slow || round < options.kills {
                    let outcome = contender.undergo(place, event).await;
                    let outcome = outcome.map_err(|failure| format!("{}: {failure}", contender.name))?;
                    eprintln!("{}", report::line(contender.name, event, &outcome));
                    figures.push(contender.name, event, outcome);
                }
            }
        }
    }
    print!("{}", figures.tables());
    Ok(())
}

async fn set_up<'a>(place: &'a Place, prefix: &str, name: &'static str) -> Done<Contender<'a>> {
    let keeper = match name {
        "reconciler" => Keeper::Agent(Live::start_with(place, false, FAILOVER).await?),
        "bare recipe" => Keeper::Bare(Pair::make(place).await?),
        "Patroni" => Keeper::Peer(patroni::make(place, "patroni", prefix, 10, patroni::DEFAULT).await?),
        "Patroni, tuned" => Keeper::Peer(patroni::make(place, "tuned", prefix, 20, patroni::MINIMUM).await?),
        "pg_auto_failover" => {
            let settings = auto_failover::Settings::Default;
            Keeper::Peer(auto_failover::make(place, "paf", prefix, 30, settings).await?)
        }
        _ => {
            let settings = auto_failover::Settings::Tuned;
            Keeper::Peer(auto_failover::make(place, "paf-tuned", prefix, 40, settings).await?)
        }
    };
    Ok(Contender {
        name,
        keeper,
        rows: Rows::default(),
    })
}
