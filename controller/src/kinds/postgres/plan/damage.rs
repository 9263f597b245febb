//! Whether a member that does not run has damaged data, as opposed to anything else that keeps a server from starting.

use super::keep;
use super::view::View;
use crate::model::container::{ContainerObserved, RunState};
use crate::model::postgres::{Down, Server};

/// What PostgreSQL says when its data directory is not whole (`xlogrecovery.c`, `controldata_utils.c`, `miscinit.c`,
/// `fd.c`). Only words that no configuration, no missing memory and no full disk leads to.
const DAMAGE: [&str; 14] = [
    "could not locate a valid checkpoint record",
    "invalid primary checkpoint record",
    "invalid checkpoint record",
    "could not find redo location",
    "invalid data in file \"backup_label\"",
    "WAL ends before consistent recovery point",
    "calculated CRC checksum does not match",
    "incorrect checksum in control file",
    "is not a valid data directory",
    "could not open file \"global/",
    "could not open file \"base/",
    "could not open directory \"pg_",
    "could not open directory \"base",
    "PANIC:  ",
];
/// A full disk makes PostgreSQL panic too, and room cures it.
const NO_ROOM: &str = "No space left on device";
/// How long every login has to fail for want of a file, in seconds: one look could have met a file in the making.
const ANSWERED_SECS: i64 = 5;

/// What is wrong with the data of a member that does not run, if that is known.
pub fn of(view: &View<'_>, member: &str, container: &ContainerObserved) -> Option<String> {
    if container.state == RunState::Exited && container.exit_code == keep::EXIT_DAMAGED {
        return Some("its data directory is damaged".to_owned());
    }
    if let Some(why) = view.damage(member) {
        return Some(format!("its data directory is damaged: {why}"));
    }
    // One failed start may have been cut off; what fails in the same way over and over again will always do so.
    let said = in_log(view.log(member)).filter(|_| keep::is_crash_looping(view, member))?;
    // What the engine could not even start says nothing of its data: its words are from before.
    let is_own = container.state == RunState::Exited && container.exit_code != 0 && container.error.is_empty();
    is_own.then(|| format!("its data directory is damaged: it failed to start several times, {said}"))
}

/// What is wrong with the data of a member that runs, in its server's own answer to whoever logs in. A server misses some
/// files only when they are asked for, and goes on without them.
pub fn answered(view: &View<'_>, member: &str) -> Option<String> {
    let Some(Server::Down(Down::NoAnswer | Down::Errors, why)) = view.server(member) else {
        return None;
    };
    let lasts = view.silent_for(member).is_some_and(|secs| secs >= ANSWERED_SECS);
    in_log(why)
        .filter(|_| lasts)
        .map(|said| format!("its data directory is damaged: {said}"))
}

/// PostgreSQL's own words on damaged data in the last lines of a log.
pub fn in_log(log: &str) -> Option<&str> {
    if log.contains(NO_ROOM) {
        return None;
    }
    let line = log
        .lines()
        .find(|line| DAMAGE.iter().any(|words| line.contains(words)))?;
    let severity = ["PANIC:", "FATAL:", "LOG:"].iter().find_map(|word| line.find(word));
    line.get(severity.unwrap_or(0)..).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::in_log;

    #[test]
    fn damage_is_told_from_other_trouble() {
        let lost = "2026-01-01 10:00:00.000 UTC [31] LOG:  invalid checkpoint record\n\
                    2026-01-01 10:00:00.000 UTC [31] PANIC:  could not locate a valid checkpoint record at 0/28\n";
        assert_eq!(in_log(lost), Some("LOG:  invalid checkpoint record"));
        assert_eq!(
            in_log("FATAL:  could not open file \"global/pg_filenode.map\": No such file or directory"),
            Some("FATAL:  could not open file \"global/pg_filenode.map\": No such file or directory")
        );
        assert_eq!(
            in_log("PANIC:  could not write to file \"pg_wal/xlogtemp.5\": No space left on device"),
            None
        );
        assert_eq!(
            in_log("FATAL:  could not map anonymous shared memory: Cannot allocate memory"),
            None
        );
        assert_eq!(
            in_log("FATAL:  could not open file \"/etc/reconciler/x\": Permission denied"),
            None
        );
    }
}
