//! A thousand containers on a simulated engine: what looking at all of them costs, and that the cost of a change does
//! not grow with what else exists. Processor time of the agent's own functions; the engine's and PostgreSQL's is not in it.

use crate::Done;
use crate::meter;
use crate::sim::World;
use crate::table::{Limit, Samples, Table};

/// Clusters of three members: about 100, 1,000 and 10,000 containers.
const WORLDS: [usize; 3] = [34, 334, 3334];
/// The world whose no-op pass has a limit.
const THOUSAND: usize = 334;
/// Milliseconds of a pass over a thousand containers.
const PASS_MS: f64 = 50.0;
/// How many clusters change at once.
const CHANGED: [usize; 3] = [1, 10, 100];
/// How many clusters change for the figure that the others are held against: one alone is too short to be measured well.
const BASE_CHANGED: usize = 10;
/// How many times the cost of one change may be what it is in the smallest world: caches are finite.
const TIMES_SMALLEST: f64 = 2.0;

/// Something that happens to the first so many clusters.
type Change = fn(&mut World, usize) -> Done<()>;
const CHANGES: [(&str, Change); 3] = [
    ("a parameter edited", World::edit),
    ("a replica killed", World::kill),
    ("a replica's container removed", World::remove),
];

/// Makes the worlds, the smallest first, and changes them.
pub async fn run(quick: bool) -> Done<Table> {
    let rounds = if quick { 4 } else { 20 };
    let mut table = Table::new("scale: processor time on a simulated engine");
    let mut bases = [f64::NAN; CHANGES.len()];
    for clusters in WORLDS {
        let mut world = World::healthy(clusters).await?;
        let mut all = Samples::default();
        for _ in 0..rounds {
            let begin = meter::own_cpu_ms()?;
            world.look_at_all().await?;
            all.push(meter::own_cpu_ms()? - begin);
        }
        let limit = if clusters == THOUSAND {
            Limit::Most(PASS_MS)
        } else {
            Limit::None
        };
        table.row(format!("{} containers, nothing to do", clusters * 3), &all, "ms", limit);
        for ((what, change), base) in CHANGES.into_iter().zip(&mut bases) {
            if base.is_nan() {
                *base = cost(&mut world, change, BASE_CHANGED, rounds).await?.median();
            }
            for changed in CHANGED.into_iter().filter(|changed| *changed <= clusters) {
                let each = cost(&mut world, change, changed, rounds).await?;
                table.row(
                    format!("{} containers, {what} in {changed}, each", clusters * 3),
                    &each,
                    "ms",
                    Limit::Times(TIMES_SMALLEST, *base),
                );
            }
        }
    }
    Ok(table)
}

/// Milliseconds for each changed cluster, until all are at rest again.
async fn cost(world: &mut World, change: Change, changed: usize, rounds: usize) -> Done<Samples> {
    let mut each = Samples::default();
    for _ in 0..rounds {
        tokio::task::yield_now().await;
        change(world, changed)?;
        let begin = meter::own_cpu_ms()?;
        world.settle(changed).await?;
        each.push((meter::own_cpu_ms()? - begin) / changed as f64);
    }
    Ok(each)
}
