//! The write-ahead logs of all servers, as one tree. A record is appended where its writer stands; two writers who stand
//! at the same place and go on separately make two branches, whatever their timelines and positions are called. So that
//! two logs are the same is a question of content, which the agent, who sees numbers only, cannot ask.

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client's row.
    Row,
    /// Roles, databases or extensions are from now on those of this catalog.
    Catalog(usize),
    /// The limits that standbys need are from now on these.
    Limits(usize),
    /// A checkpoint while the server runs, and the last one of a clean stop.
    Checkpoint,
    /// The first record of a timeline.
    NewTimeline,
}

/// A record.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// When it was written.
    pub at: u64,
    /// What it says.
    pub kind: Kind,
}

/// A log: everything up to so many records on a branch, those of the branches that it grew from included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The branch.
    pub branch: usize,
    /// How many records, from the root on.
    pub count: u32,
}

#[derive(Debug)]
struct Branch {
    parent: Option<usize>,
    /// How many records precede the branch's own.
    base: u32,
    /// Where its own begin.
    start: u64,
    timeline: u32,
    records: Vec<Record>,
}

/// All logs.
#[derive(Debug, Default)]
pub struct Wal {
    branches: Vec<Branch>,
}

impl Wal {
    /// An empty log of a new cluster.
    pub fn root(&mut self, start: u64) -> Place {
        self.branches.push(Branch {
            parent: None,
            base: 0,
            start,
            timeline: 1,
            records: Vec::new(),
        });
        Place {
            branch: self.branches.len() - 1,
            count: 0,
        }
    }

    /// The log with a record more.
    pub fn append(&mut self, place: Place, bytes: u64, kind: Kind, now: u64) -> Place {
        let place = if self.is_tip(place) {
            place
        } else {
            self.fork(place, self.timeline(place))
        };
        let start = self.end(place);
        let record = Record {
            start,
            end: start + bytes,
            at: now,
            kind,
        };
        self.branches[place.branch].records.push(record);
        Place {
            count: place.count + 1,
            ..place
        }
    }

    /// A log that goes on from here on its own.
    pub fn fork(&mut self, place: Place, timeline: u32) -> Place {
        self.branches.push(Branch {
            parent: Some(place.branch),
            base: place.count,
            start: self.end(place),
            timeline,
            records: Vec::new(),
        });
        Place {
            branch: self.branches.len() - 1,
            count: place.count,
        }
    }

    fn is_tip(&self, place: Place) -> bool {
        let branch = &self.branches[place.branch];
        branch.base as usize + branch.records.len() == place.count as usize
    }

    /// The position where a log ends.
    pub fn end(&self, place: Place) -> u64 {
        match place.count.checked_sub(1) {
            Some(last) if last >= self.branches[place.branch].base => self.record(place, last).map_or(0, |r| r.end),
            _ => self.branches[place.branch].start,
        }
    }

    /// The timeline that a log is on.
    pub fn timeline(&self, place: Place) -> u32 {
        self.branches[place.branch].timeline
    }

    /// A record of a log, counted from the root.
    pub fn record(&self, place: Place, at: u32) -> Option<&Record> {
        if at >= place.count {
            return None;
        }
        let mut branch = &self.branches[place.branch];
        while at < branch.base {
            branch = &self.branches[branch.parent?];
        }
        branch.records.get((at - branch.base) as usize)
    }

    /// The log `whole` cut after so many records.
    pub fn cut(&self, whole: Place, count: u32) -> Place {
        let mut branch = whole.branch;
        // A branch without a record of its own in what is left is the one that it grew from, but for its timeline.
        while count < self.branches[branch].base
            && let Some(parent) = self.branches[branch].parent
        {
            branch = parent;
        }
        Place { branch, count }
    }

    /// Whether `whole` begins with all of `part`.
    pub fn contains(&self, whole: Place, part: Place) -> bool {
        let mut part_branch = part.branch;
        while part.count <= self.branches[part_branch].base
            && let Some(parent) = self.branches[part_branch].parent
        {
            part_branch = parent;
        }
        let (mut branch, mut count) = (whole.branch, whole.count);
        loop {
            if branch == part_branch {
                return part.count <= count;
            }
            count = count.min(self.branches[branch].base);
            match self.branches[branch].parent {
                Some(parent) => branch = parent,
                None => return part.count == 0,
            }
        }
    }

    /// The timelines before a log's own, each with the position where the next one began.
    pub fn history(&self, place: Place) -> Vec<(u32, u64)> {
        let mut found = Vec::new();
        let mut branch = &self.branches[place.branch];
        while let Some(parent) = branch.parent {
            let older = &self.branches[parent];
            if older.timeline != branch.timeline {
                found.push((older.timeline, branch.start));
            }
            branch = older;
        }
        found.reverse();
        found
    }

    /// What distinguishes a log up to a position from every other log's.
    pub fn fingerprint(&self, place: Place, position: u64) -> String {
        let count = self.count_up_to(place, position);
        let mut branch = place.branch;
        while count <= self.branches[branch].base
            && let Some(parent) = self.branches[branch].parent
        {
            branch = parent;
        }
        format!("{branch}:{count}")
    }

    /// Whether a record of a log ends at a position.
    pub fn is_boundary(&self, place: Place, position: u64) -> bool {
        let part = self.cut(place, self.count_up_to(place, position));
        self.end(part) == position
    }

    /// How many records of a log end at or before a position.
    pub fn count_up_to(&self, place: Place, position: u64) -> u32 {
        let mut count = place.count;
        while count > 0
            && self
                .record(place, count - 1)
                .is_some_and(|record| record.end > position)
        {
            count -= 1;
        }
        count
    }

    /// The log up to its last record that is somebody's data and not the server's own bookkeeping.
    pub fn last_data(&self, place: Place) -> Place {
        let mut count = place.count;
        while count > 0
            && !self
                .record(place, count - 1)
                .is_some_and(|record| matches!(record.kind, Kind::Row | Kind::Catalog(_)))
        {
            count -= 1;
        }
        self.cut(place, count)
    }
}
