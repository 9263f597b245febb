//! What is told by comparing two looks, or measured only now and then: how a lag grows, how a new volume fills, how much
//! is held.

use std::collections::BTreeMap;

use super::{Depth, Observed};
use crate::host::Reads;
use crate::kinds::postgres::cluster::Cluster;
use crate::kinds::postgres::desired;
use crate::kinds::postgres::memory::Memory;
use crate::model::Lsn;
use crate::model::container::RunState;
use crate::model::labels;
use crate::model::postgres::Server;

/// Seconds between two looks at a lag that are compared: less would be noise.
const LAG_STEP_SECS: i64 = 10;

/// The lag of a replica that is further behind than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Since when it has been beyond the limit and growing, in seconds since the epoch.
    pub since: i64,
    /// What the replica had replayed then.
    pub from: Lsn,
    /// How far it was behind at the last comparison, in bytes.
    pub bytes: u64,
    /// When that was.
    pub at: i64,
    /// Comparisons in a row at which it had grown.
    pub grown: u32,
}

/// A volume that is being filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// When it was first seen, in seconds since the epoch.
    pub since: i64,
    /// Bytes that were there then.
    pub from: u64,
    /// Bytes that are there.
    pub done: u64,
    /// Bytes in total; 0 while that is not known.
    pub total: u64,
}

impl Fill {
    /// How many seconds it will take at the pace so far, if there is one.
    pub fn seconds_left(&self, now: i64) -> Option<u64> {
        let took = u64::try_from(now - self.since).ok().filter(|secs| *secs > 0)?;
        let pace = self.done.checked_sub(self.from)? / took;
        let left = self.total.checked_sub(self.done)?;
        (pace > 0).then(|| left.div_ceil(pace))
    }
}

/// Compares with the last look, and measures what is due.
pub async fn measure<R: Reads>(
    host: &R,
    (cluster, memory, before): (&Cluster, &Memory, &Observed),
    depth: Depth,
    now: i64,
    observed: &mut Observed,
) {
    let primary = memory
        .primary
        .as_ref()
        .and_then(|primary| observed.members.get(primary));
    let primary = primary
        .and_then(|seen| seen.server.facts())
        .filter(|facts| !facts.in_recovery);
    observed.sizes = primary.and_then(|facts| facts.sizes).or(before.sizes);
    let mut filling: BTreeMap<String, (u64, u64)> = primary.map(|facts| facts.base_backups.clone()).unwrap_or_default();
    if let Some(main) = primary.map(|facts| facts.lsn) {
        observed.lags = lags(cluster, observed, main, before, now);
    }
    filling.extend(rewinds(host, (cluster, memory), observed).await);
    let fills = filling.into_iter().map(|(member, (done, total))| {
        let first = before.fills.get(&member).filter(|fill| fill.done <= done);
        let (since, from) = first.map_or((now, done), |fill| (fill.since, fill.from));
        (
            member,
            Fill {
                since,
                from,
                done,
                total,
            },
        )
    });
    observed.fills = fills.collect();
    observed.volume_bytes = before.volume_bytes.clone();
    let unmeasured = |volume: &String| !before.volume_bytes.contains_key(volume);
    if depth.sizes || memory.retired.keys().any(unmeasured) {
        let volumes: Vec<String> = memory.retired.keys().cloned().collect();
        observed.volume_bytes = match volumes.is_empty() {
            true => BTreeMap::new(),
            false => host.volume_bytes(&volumes).await,
        };
    }
}

fn lags(cluster: &Cluster, observed: &Observed, main: Lsn, before: &Observed, now: i64) -> BTreeMap<String, Lag> {
    let standbys = observed.members.iter().filter_map(|(member, seen)| match &seen.server {
        Server::Up(facts) if facts.in_recovery => Some((member, facts.lsn)),
        Server::Up(_) | Server::Down(..) => None,
    });
    let late = standbys.filter_map(|(member, replayed)| {
        let bytes = main.bytes_past(replayed);
        (bytes > cluster.max_lag_bytes).then(|| (member.clone(), lag(before.lags.get(member), bytes, replayed, now)))
    });
    late.collect()
}

fn lag(before: Option<&Lag>, bytes: u64, replayed: Lsn, now: i64) -> Lag {
    let first = Lag {
        since: now,
        from: replayed,
        bytes,
        at: now,
        grown: 0,
    };
    match before {
        None => first,
        Some(before) if now - before.at < LAG_STEP_SECS => *before,
        Some(before) if bytes > before.bytes => Lag {
            bytes,
            at: now,
            grown: before.grown + 1,
            ..*before
        },
        Some(_) => first,
    }
}

/// What `pg_rewind` says of its progress, where one runs.
async fn rewinds<R: Reads>(
    host: &R,
    (cluster, memory): (&Cluster, &Memory),
    observed: &Observed,
) -> BTreeMap<String, (u64, u64)> {
    let mut found = BTreeMap::new();
    let Some(image) = observed.objects.image(&cluster.spec.image).known() else {
        return found;
    };
    let path = format!("{}.partial.log", desired::data_place(image).pgdata);
    for container in observed
        .objects
        .containers
        .iter()
        .filter(|c| c.state == RunState::Running)
    {
        let Some(member) = container.labels.get(labels::MEMBER) else {
            continue;
        };
        if memory.rewind_source(member).is_some()
            && let Some(log) = host.read_file(&container.id, &path).await.known()
            && let Some(progress) = rewound(&String::from_utf8_lossy(log))
        {
            found.insert(member.clone(), progress);
        }
    }
    found
}

/// The last line of the form `  1024/400000 kB (0%) copied` (`pg_rewind.c`, `progress_report`), in bytes.
fn rewound(log: &str) -> Option<(u64, u64)> {
    let line = log
        .lines()
        .flat_map(|line| line.split('\r'))
        .rfind(|line| line.contains(" kB ("))?;
    let (done, total) = line.split(" kB").next()?.split_once('/')?;
    let kilobytes = |text: &str| text.trim().parse::<u64>().ok()?.checked_mul(1024);
    Some((kilobytes(done)?, kilobytes(total)?))
}

#[cfg(test)]
mod tests {
    use super::{Fill, Lag, lag, rewound};
    use crate::model::Lsn;

    #[test]
    fn the_rest_takes_as_long_as_the_pace_so_far_says() {
        let fill = |done| Fill {
            since: 100,
            from: 50,
            done,
            total: 1050,
        };
        assert_eq!(fill(250).seconds_left(102), Some(8));
        assert_eq!(fill(250).seconds_left(100), None);
        assert_eq!(fill(50).seconds_left(110), None);
        assert_eq!(fill(1050).seconds_left(110), Some(0));
    }

    #[test]
    fn a_lag_grows_while_every_comparison_finds_more() {
        let first = lag(None, 100, Lsn(5), 0);
        assert_eq!(lag(Some(&first), 90, Lsn(6), 9), first, "too early to compare");
        let second = lag(Some(&first), 120, Lsn(6), 10);
        assert_eq!(
            second,
            Lag {
                bytes: 120,
                at: 10,
                grown: 1,
                ..first
            }
        );
        let third = lag(Some(&second), 130, Lsn(7), 20);
        assert_eq!((third.grown, third.since, third.from), (2, 0, Lsn(5)));
        assert_eq!(lag(Some(&third), 130, Lsn(8), 30).grown, 0, "it no longer grows");
    }

    #[test]
    fn the_progress_of_a_rewind_is_read_from_its_last_report() {
        let log = "pg_rewind: need to copy 83 MB\n     0/85000 kB (0%) copied\r 42000/85000 kB (49%) copied\n";
        assert_eq!(rewound(log), Some((42_000 * 1024, 85_000 * 1024)));
        assert_eq!(rewound("pg_rewind: servers diverged at WAL location 0/3000000\n"), None);
    }
}
