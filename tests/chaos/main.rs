//! Faults at random, on the real engine, under writers that remember what was acknowledged.
//!
//! `cargo bench --bench chaos -- [--minutes N] [--seed N] [--mode asynchronous|synchronous|both]
//! [--program PATH]`; another program than this build's is for bisecting. The seed is printed and draws faults, targets and pauses; what the machine does meanwhile is its own affair, so a seed repeats the story and not
//! every instant of it.
//!
//! At the end the faults stop. Then every cluster has to get ready; each acknowledged write of a synchronous cluster has
//! to be there; an asynchronous one may have lost some in forced or automatic failovers only, and no more than was
//! announced; every member has to have the same rows; and the volume that holds a lost row has to exist still. The exit
//! code is 1 when any of that does not hold, and what tells why is kept in `target/failed/`.
//!
//! | room | what lives there |
//! |---|---|
//! | `host` | the agent, its files, commands, and the end of all that was made |
//! | `cluster` | one cluster as seen from outside |
//! | `fault`, `strike` | what can happen, when, and how it is done |
//! | `writer` | the client |
//! | `verdict` | what has to hold in the end |
//! | `report` | what happened, counted |
//! | `chance` | numbers drawn from a seed |

mod chance;
mod cluster;
mod fault;
mod host;
mod report;
mod strike;
mod verdict;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use chance::Chance;
use cluster::Cluster;
use fault::Story;
use host::Host;
use writer::Writer;

/// Why a run could not be made.
type Failure = Box<dyn std::error::Error + Send + Sync>;
/// What came of a part of a run.
type Done<T> = Result<T, Failure>;

/// How long a cluster may take to be ready on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// What was asked for.
struct Options {
    minutes: f64,
    seed: u64,
    modes: Vec<Mode>,
    program: Option<PathBuf>,
}

/// How a cluster replicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Commits wait for nobody.
    Asynchronous,
    /// Commits wait for any one of the replicas, always.
    Synchronous,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Done<Options> {
    let mut options = Options {
        minutes: 10.0,
        seed: u64::from(std::process::id()),
        modes: vec![Mode::Asynchronous, Mode::Synchronous],
        program: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            // Cargo itself adds it.
            "--bench" => {}
            "--minutes" => options.minutes = value()?.parse()?,
            "--program" => options.program = Some(value()?.into()),
            "--seed" => options.seed = value()?.parse()?,
            "--mode" => {
                options.modes = match value()?.as_str() {
                    "asynchronous" => vec![Mode::Asynchronous],
                    "synchronous" => vec![Mode::Synchronous],
                    "both" => vec![Mode::Asynchronous, Mode::Synchronous],
                    other => return Err(format!("there is no mode {other}").into()),
                }
            }
            other => return Err(format!("there is no option {other}").into()),
        }
    }
    Ok(options)
}

/// Makes the run. Returns whether everything held; whatever ends it, all that was made goes.
fn run(options: &Options) -> Done<bool> {
    let stop = Arc::new(AtomicBool::new(false));
    watch_for_signals(&stop)?;
    println!("seed {}, {} minutes", options.seed, options.minutes);
    let mut host = Host::new(options.program.as_deref())?;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(options, &mut host, &stop)));
    let outcome = outcome.unwrap_or_else(|_| Err("the run panicked".into()));
    if !matches!(outcome, Ok(true)) && !stop.load(Ordering::SeqCst) {
        println!("kept for a look: {}", host.keep()?.display());
    }
    host.sweep()?;
    outcome
}

fn play(options: &Options, host: &mut Host, stop: &AtomicBool) -> Done<bool> {
    let mut clusters: Vec<Cluster> = options.modes.iter().map(|mode| Cluster::new(host, *mode)).collect();
    for cluster in &clusters {
        cluster.save(host)?;
    }
    host.start_agent()?;
    for cluster in &mut clusters {
        cluster.wait_ready(host, PATIENCE, stop)?;
        cluster.sql_on_primary(host, writer::TABLE)?;
    }
    let writers: Vec<Writer> = clusters.iter().map(|c| Writer::start(host, c)).collect::<Done<_>>()?;
    let mut story = Story::new(Chance::new(options.seed));
    let end = Instant::now() + Duration::from_secs_f64(options.minutes * 60.0);
    while Instant::now() < end && !stop.load(Ordering::SeqCst) {
        story.go_on(host, &mut clusters, end, stop)?;
    }
    println!("the faults end; waiting until every cluster is ready");
    story.settle(host, &mut clusters)?;
    let mut verdict = verdict::Verdict::default();
    for cluster in &mut clusters {
        if let Err(failure) = cluster.wait_ready(host, PATIENCE, stop) {
            verdict.violation(format!("{}: {failure}", cluster.name));
        }
    }
    if stop.load(Ordering::SeqCst) {
        return Err("interrupted".into());
    }
    // Whoever is ready serves: a last write has to come through.
    let mut written = Vec::new();
    for writer in writers {
        let served = writer.wait_for_one(Duration::from_secs(30));
        let notes = writer.stop();
        if !served {
            verdict.violation(format!("{}: no write comes through in the end", notes.cluster));
        }
        written.push(notes);
    }
    for (cluster, notes) in clusters.iter().zip(&written) {
        verdict.look_at(host, cluster, notes)?;
    }
    verdict.look_at_losses(&story, &clusters)?;
    verdict.look_at_agent(host, &written)?;
    print!("{}", report::report(host, &story, &written, &verdict)?);
    Ok(verdict.holds())
}

/// Ends the run at the next moment between two faults.
fn watch_for_signals(stop: &Arc<AtomicBool>) -> Done<()> {
    let stop = Arc::clone(stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let Ok(mut terminate) = signal(SignalKind::terminate()) else {
                return;
            };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            stop.store(true, Ordering::SeqCst);
        });
    });
    Ok(())
}

/// What another thread wrote is whole even if that thread panicked.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
