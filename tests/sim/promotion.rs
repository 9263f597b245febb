//! The end of a promotion.

use reconciler::model::postgres::ControlState;

use super::wal::Kind;
use super::world::World;

impl World {
    /// A standby has opened its data for writing.
    pub fn promoted(&mut self, at: usize) {
        let next = self.now + self.takes(self.pace.checkpoint);
        let Some(server) = self.containers[at].up_mut() else {
            return;
        };
        server.in_recovery = false;
        server.link = None;
        server.is_stuck = false;
        server.checkpoint_at = next;
        self.replay(at, true);
        let Some(data) = self.data(at) else {
            return;
        };
        let (place, timeline) = (data.place, data.timeline + 1);
        self.confirmed(at);
        let place = self.wal.fork(place, timeline);
        if let Some(data) = self.data_mut(at) {
            data.place = place;
            data.timeline = timeline;
            data.is_standby = false;
            data.control.state = ControlState::InProduction;
        }
        self.write(at, 0x40, Kind::NewTimeline);
        // Who streamed from it has to ask for the new timeline.
        let serial = self.containers[at].serial;
        for other in 0..self.containers.len() {
            if self.link(other).is_some_and(|link| link.source == serial) {
                self.cut_link(other);
            }
        }
        let name = self.containers[at].seen.name.clone();
        self.tell(&name, || format!("is promoted, on timeline {timeline}"));
        self.event();
        self.check();
    }

    /// Whom a user confirmed as the primary with `--force` is it from now on: what only others have is given up.
    pub fn confirmed(&mut self, at: usize) {
        if self.watch.forced.as_deref() == Some(self.containers[at].member())
            && let Some(place) = self.data(at).map(|data| data.place)
        {
            self.watch.forced = None;
            self.give_up_beyond(&[place]);
            for other in (0..self.containers.len()).filter(|other| *other != at) {
                if let Some(process) = &mut self.containers[other].process {
                    process.server.is_overruled = !process.server.in_recovery;
                }
            }
        }
    }
}
