//! Reads the agent's log: its lines carry the time to the microsecond.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Done;

/// The text of the line before every step of a plan.
const STEP: &str = "taking a step";

/// The log of a running agent.
#[derive(Debug, Clone)]
pub struct Log(PathBuf);

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// When it was written.
    pub at: OffsetDateTime,
    /// What it says.
    pub text: String,
}

impl Log {
    /// The log in a file.
    pub fn new(path: &Path) -> Self {
        Log(path.to_owned())
    }

    /// Where the next line will be.
    pub fn end(&self) -> Done<u64> {
        Ok(std::fs::metadata(&self.0)?.len())
    }

    /// The whole lines since a place; those without a time continue another one and are left out.
    pub fn since(&self, place: u64) -> Done<Vec<Line>> {
        let mut file = File::open(&self.0)?;
        file.seek(SeekFrom::Start(place))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole.lines().filter_map(line).collect())
    }
}

fn line(text: &str) -> Option<Line> {
    let (at, rest) = text.split_once(' ')?;
    Some(Line {
        at: OffsetDateTime::parse(at, &Rfc3339).ok()?,
        text: rest.trim().to_owned(),
    })
}

impl Line {
    /// Whether a step begins.
    pub fn is_step(&self) -> bool {
        self.text.contains(STEP)
    }

    /// Whether a step begins that goes to the engine or to a database, as opposed to the agent's own memory.
    pub fn is_call(&self) -> bool {
        self.is_step() && !self.text.contains(": remember that ")
    }

    /// Whether a step begins whose text has these words.
    pub fn is_step_of(&self, words: &str) -> bool {
        self.is_step() && self.text.contains(words)
    }

    /// Whether the agent noticed that the manifests changed.
    pub fn is_notice(&self) -> bool {
        self.text.ends_with("the manifests changed")
    }
}
