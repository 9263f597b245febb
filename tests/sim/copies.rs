//! Volumes that somebody puts back to an older copy: a snapshot, a rolled-back machine, copied files.

use reconciler::model::container::RunState;
use reconciler::model::wal::{Mark, Proof};
use reconciler::model::{Lsn, Seen};

use super::container::By;
use super::invariants::Glimpse;
use super::stage::Stage;
use super::volume::{Content, Data};
use super::wal::Place;
use super::world::World;

/// A volume that holds an older copy than it did.
#[derive(Debug, Clone)]
pub struct PutBack {
    /// The volume.
    pub volume: String,
    /// What the agent's own record said of the log then.
    pub record: Option<(u32, Lsn)>,
}

impl World {
    /// Copies a container's volume aside.
    pub fn copy_aside(&mut self, at: usize) -> Option<Data> {
        let name = self.containers[at].seen.name.clone();
        self.tell("user", || format!("copies the volume of {name} aside"));
        self.data(at).cloned()
    }

    /// Puts a volume back to an older copy, while its container does not run. What no other volume has is gone.
    pub fn put_back(&mut self, at: usize, copy: Data, record: Option<(u32, Lsn)>) {
        let container = &self.containers[at];
        if matches!(container.seen.state, RunState::Running | RunState::Paused) {
            return;
        }
        let (name, volume) = (container.seen.name.clone(), container.volume().to_owned());
        let Some(found) = self.volume(&volume) else {
            return;
        };
        self.volumes[found].content = Content::Data(Box::new(copy));
        self.tell("user", || format!("puts the volume of {name} back to its older copy"));
        let data = self.volumes.iter().filter_map(|volume| volume.content.data());
        let places: Vec<Place> = data.map(|data| data.place).collect();
        self.give_up_beyond(&places);
        self.watch.put_back = Some(PutBack { volume, record });
        // What the agent was told before is no news of what was put back.
        self.watch.glimpses.clear();
        self.watch.at_delivery.clear();
    }

    /// Somebody starts a container on an older copy as a primary. The agent does not, unless it was told to, or nobody could
    /// tell it that there was more.
    pub fn check_start(&mut self, at: usize, by: By) {
        let container = &self.containers[at];
        let volume = container.volume().to_owned();
        let Some(put_back) = self.watch.put_back.clone().filter(|put_back| put_back.volume == volume) else {
            return;
        };
        if container.text("role") != "primary" {
            return;
        }
        let member = container.member().to_owned();
        let is_wanted = by == By::User || self.watch.forced.as_deref() == Some(member.as_str());
        let Some(place) = self.data(at).map(|data| data.place) else {
            return;
        };
        let own = (self.wal.timeline(place), Lsn(self.wal.end(place)));
        let known = self.watch.at_delivery.get(&container.seen.name);
        let is_ahead = |other: &usize| {
            let other = &self.containers[*other];
            let is_told = known.and_then(|known| known.get(&other.seen.name)) == Some(&Glimpse::Standby);
            // Somebody's copy of a member is nobody whose word counts.
            is_told && other.member() != member && !other.is_copy()
        };
        let told = (0..self.containers.len()).filter(is_ahead).filter_map(|other| {
            let data = self.data(other).filter(|data| data.is_standby)?;
            let has = (data.timeline, Lsn(self.wal.end(data.place)));
            // One that went its own way before tells nothing of this log.
            let is_of_it = self.wal.fingerprint(data.place, own.1.0) == self.wal.fingerprint(place, own.1.0);
            (has.0 == own.0 && has.1 > own.1 && is_of_it).then_some(())
        });
        let knows = told.count() > 0
            || put_back
                .record
                .is_some_and(|record| record.0 == own.0 && record.1 > own.1);
        if knows && !is_wanted {
            return self.violated(&format!("{member} is started on an older copy, and nobody was asked"));
        }
        self.watch.put_back = None;
        self.give_up_beyond(&[place]);
    }

    /// What the log in a container's volume says of a mark.
    pub fn proof(&self, at: usize, mark: &Mark) -> Seen<Proof> {
        let Some(data) = self.data(at) else {
            return Seen::Absent;
        };
        let (timeline, end) = (self.wal.timeline(data.place), self.wal.end(data.place));
        let lsn = mark.place.lsn.0;
        if data.control.timeline > mark.place.timeline {
            return Seen::Known(Proof::Holds);
        }
        if timeline.max(data.timeline) < mark.place.timeline || lsn > end {
            return Seen::Known(Proof::Ends(Lsn(end.min(lsn))));
        }
        match mark.hash.is_empty() || self.wal.fingerprint(data.place, lsn) == mark.hash {
            true => Seen::Known(Proof::Holds),
            false => Seen::Known(Proof::Differs),
        }
    }
}

impl Stage {
    /// How far the primary's log has come, as the agent has it on record.
    pub fn record(&self) -> Option<(u32, Lsn)> {
        let place = self.host.of(self.acting()).memory()?.history.noted?.mark.place;
        Some((place.timeline, place.lsn))
    }
}
