//! What has to hold in the end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::fault::Story;
use crate::host::Host;
use crate::writer::Notes;
use crate::{Done, Mode};

/// How long replicas may take to have the last rows.
const PATIENCE: Duration = Duration::from_secs(60);
/// The least that a row of the writer's, its index entry and its commit take of the write-ahead log.
const ROW_BYTES: u64 = 100;

/// What did not hold.
#[derive(Default)]
pub struct Verdict {
    violations: Vec<String>,
    /// The acknowledged rows that are not there, by cluster.
    pub lost: Vec<(String, Vec<(i64, Instant)>)>,
}

impl Verdict {
    /// Something does not hold.
    pub fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    /// What does not hold.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Looks at one cluster after its writer has stopped.
    pub fn look_at(&mut self, host: &Host, cluster: &Cluster, notes: &Notes) -> Done<()> {
        let Some(seen) = cluster.look(host)? else {
            self.violation("the agent does not answer".to_owned());
            return Ok(());
        };
        let Some(primary) = &seen.primary else {
            self.violation(format!("{}: no primary", cluster.name));
            return Ok(());
        };
        let text = cluster.sql(primary, "select id from written")?;
        let present: BTreeSet<i64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        let lost = notes.acknowledged.iter().filter(|(id, _)| !present.contains(id));
        self.lost.push((cluster.name.clone(), lost.copied().collect()));
        self.compare_members(cluster, primary, &seen.replicas());
        if cluster.password(host)? != notes.password {
            self.violation(format!("{}: the superuser's password is another one", cluster.name));
        }
        Ok(())
    }

    /// Every member has to have the same rows, and only the primary accepts more.
    fn compare_members(&mut self, cluster: &Cluster, primary: &str, replicas: &[String]) {
        let sql = "select count(*), sum(id) from written";
        for replica in replicas {
            let begin = Instant::now();
            loop {
                let (wanted, found) = (cluster.sql(primary, sql), cluster.sql(replica, sql));
                if let (Ok(wanted), Ok(found)) = (&wanted, &found)
                    && wanted == found
                {
                    break;
                }
                if begin.elapsed() > PATIENCE {
                    let what = format!("{}: {primary} has {wanted:?}, {replica} has {found:?}", cluster.name);
                    self.violation(what);
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            if !cluster
                .sql(replica, "select pg_is_in_recovery()")
                .is_ok_and(|answer| answer == "t")
            {
                self.violation(format!("{}: {replica} is no replica", cluster.name));
            }
        }
    }

    /// Looks at what was lost: whether it may be, was announced, and is still somewhere.
    pub fn look_at_losses(&mut self, story: &Story, clusters: &[Cluster]) -> Done<()> {
        let lost = self.lost.clone();
        for (cluster, (name, rows)) in clusters.iter().zip(&lost) {
            if rows.is_empty() {
                continue;
            }
            if cluster.mode == Mode::Synchronous {
                self.violation(format!(
                    "{name}: {} acknowledged rows are lost: {:?}",
                    rows.len(),
                    ids(rows)
                ));
            }
            let ended = story.ended.iter().filter(|((cluster, ..), _)| cluster == name);
            let announced: Vec<Option<u64>> = ended
                .filter(|(_, ended)| ended.succeeded && ended.is_lossy())
                .map(|(_, ended)| ended.lost_bytes)
                .collect();
            let known: u64 = announced.iter().flatten().sum();
            let is_told = announced.iter().any(Option::is_none) || known >= rows.len() as u64 * ROW_BYTES;
            if announced.is_empty() || !is_told {
                let what = format!(
                    "{name}: {} acknowledged rows are lost, {known} bytes were announced in {} failovers: {:?}",
                    rows.len(),
                    announced.len(),
                    ids(rows)
                );
                self.violation(what);
            }
            self.look_for_copies(story, cluster, rows)?;
        }
        Ok(())
    }

    /// The volume of the primary that acknowledged a lost row is its last copy.
    fn look_for_copies(&mut self, story: &Story, cluster: &Cluster, rows: &[(i64, Instant)]) -> Done<()> {
        let volumes = cluster.volumes()?;
        let primaries = story.primaries.get(&cluster.name).map_or(&[][..], Vec::as_slice);
        let mut holders = BTreeSet::new();
        for (_, acknowledged) in rows {
            let before = primaries.iter().rev().find(|(since, _)| since <= acknowledged);
            holders.extend(before.map(|(_, volume)| volume.clone()));
        }
        for volume in holders {
            if !volumes.contains(&volume) && !story.taken.contains(&volume) {
                self.violation(format!("{}: {volume} held lost rows and is gone", cluster.name));
            }
        }
        Ok(())
    }

    /// Looks at the agent's own conduct.
    pub fn look_at_agent(&mut self, host: &Host, written: &[Notes]) -> Done<()> {
        let log = host.log()?;
        if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
            self.violation(format!("the agent panicked: {line}"));
        }
        for notes in written {
            if log.contains(&notes.password) {
                self.violation(format!("{}: the log holds the password", notes.cluster));
            }
        }
        Ok(())
    }
}

fn ids(rows: &[(i64, Instant)]) -> Vec<i64> {
    rows.iter().take(20).map(|(id, _)| *id).collect()
}
