//! What a primary writes to its log, and what its control file learns of it.

use reconciler::model::postgres::ControlState;

use super::volume::ControlFile;
use super::wal::Kind;
use super::world::World;

/// A checkpoint's size in the log.
pub const CHECKPOINT_BYTES: u64 = 0x78;

impl World {
    /// A checkpoint of a running primary: the control file learns of it, and the log before it goes.
    pub fn checkpoint(&mut self, at: usize) {
        self.write(at, CHECKPOINT_BYTES, Kind::Checkpoint);
        self.note_checkpoint(at, ControlState::InProduction);
        self.recycle(at);
    }

    pub fn note_checkpoint(&mut self, at: usize, state: ControlState) {
        let Some(data) = self.data(at) else {
            return;
        };
        let place = data.place;
        let start = self
            .wal
            .record(place, place.count.saturating_sub(1))
            .map_or(0, |record| record.start);
        let timeline = self.wal.timeline(place);
        if let Some(data) = self.data_mut(at) {
            data.control = ControlFile {
                state,
                checkpoint: start,
                timeline,
            };
            data.last_checkpoint = (start, timeline);
        }
    }

    /// A primary writes a record, and has it in its tables.
    pub fn write(&mut self, at: usize, bytes: u64, kind: Kind) {
        let Some(data) = self.data(at) else {
            return;
        };
        let place = self.wal.append(data.place, bytes, kind, self.now);
        if let Some(data) = self.data_mut(at) {
            data.place = place;
            data.replayed = place.count;
            match kind {
                Kind::Catalog(catalog) => data.catalog = catalog,
                Kind::Limits(limits) => data.limits = limits,
                Kind::Row | Kind::Checkpoint | Kind::NewTimeline => {}
            }
        }
    }
}
