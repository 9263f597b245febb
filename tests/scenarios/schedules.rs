//! Runs from seeds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sim::schedule;
use crate::sim::stage::Outcome;

/// How many seeds are run unless somebody says otherwise.
const SEEDS: u64 = 10_000;
/// How many stories of failed seeds are printed: one is enough to begin with.
const STORIES: usize = 3;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn story(seed: u64) -> String {
    let Outcome { violation, lines, .. } = schedule::run(seed, true);
    let end = violation.unwrap_or_else(|| "all is well".to_owned());
    format!("seed {seed}: {end}\n{}\n", lines.join("\n"))
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_and_all_comes_to_rest() {
    if let Some(seed) = number("SEED") {
        let story = story(seed);
        println!("{story}");
        assert!(story.contains("all is well"), "seed {seed} fails");
        return;
    }
    let from = number("SEED_FROM").unwrap_or(0);
    let end = from + number("SEEDS").unwrap_or(SEEDS);
    let is_one_enough = std::env::var_os("FIRST").is_some();
    let next = AtomicU64::new(from);
    let failed: Mutex<Vec<(u64, String)>> = Mutex::default();
    let totals: Mutex<(u64, u64, u64, u64)> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || is_one_enough && !failed.lock().unwrap().is_empty() {
                        return;
                    }
                    let outcome = schedule::run(seed, false);
                    let mut totals = totals.lock().unwrap();
                    totals.0 += outcome.rows.0;
                    totals.1 += outcome.rows.1;
                    totals.2 += outcome.writes;
                    totals.3 += outcome.lasted / 1000;
                    drop(totals);
                    if let Some(violation) = outcome.violation {
                        failed.lock().unwrap().push((seed, violation));
                    }
                }
            });
        }
    });
    let (rows, given_up, writes, seconds) = *totals.lock().unwrap();
    println!(
        "{} schedules, {seconds} s of their time: {rows} rows acknowledged, {given_up} of them given up by users; \
         the agent did {writes} things",
        end - from
    );
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, violation) in &failed {
        println!("seed {seed}: {violation}");
    }
    let stories = if is_one_enough { 0 } else { STORIES };
    for (seed, _) in failed.iter().take(stories) {
        println!("\n{}", story(*seed));
    }
    assert!(failed.is_empty(), "{} of {} seeds fail", failed.len(), end - from);
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    for seed in 0..20 {
        let (one, other) = (story(seed), story(seed));
        let differs = one.lines().zip(other.lines()).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.len(), other.len(), "seed {seed}");
    }
}
