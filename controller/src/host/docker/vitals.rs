//! Reads `/proc` of this host: `stat`, `status`, `cgroup` and `task/*/children` of processes (proc(5)), the files of their
//! control group in either version, and the host's pressure. Nothing here waits: the kernel answers from memory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::process::{Pressure, ProcessState, Switches, Vitals};

/// Clock ticks of `/proc/*/stat` a second. The kernel's own unit is hidden from programs: it is 100 on all platforms that
/// the images exist for.
const TICKS_PER_SEC: u64 = 100;
/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// One process.
struct Process {
    state: char,
    born: u64,
    /// Its own time and that of the children whose end it has taken note of, in ticks.
    ticks: u64,
    switches: u64,
}

/// What the processes of a container are doing. `None` when they cannot be seen: another host's, or gone.
pub(super) fn read(pid: i64, container: &str) -> Option<Vitals> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    // A number says nothing by itself: it may be another process's by now, or on another host.
    if pid <= 0 || !groups.contains(container.get(..32).unwrap_or(container)) {
        return None;
    }
    let main = process(pid)?;
    let mut family = vec![pid];
    let (mut found, mut next) = (Vitals::default(), 0);
    let mut switches = 0;
    while let Some(pid) = family.get(next).copied() {
        next += 1;
        // One that has just ended is counted by its parent.
        let Some(process) = process(pid) else {
            continue;
        };
        found.processes += 1;
        found.runnable += u32::from(process.state == 'R');
        found.in_disk_sleep += u32::from(process.state == 'D');
        found.cpu_ms += process.ticks * 1000 / TICKS_PER_SEC;
        switches += process.switches;
        family.extend(children(pid)?);
    }
    Some(Vitals {
        // `t` is stopped by a debugger, which goes on with it by itself.
        main: match main.state {
            'T' => ProcessState::Stopped,
            _ => ProcessState::Alive,
        },
        main_waits: matches!(main.state, 'R' | 'D'),
        born: main.born,
        switches: Some(Switches {
            main: main.switches,
            all: switches,
        }),
        throttled_ms: throttled_ms(&groups),
        is_frozen: is_frozen(&groups),
        pressure: Some(pressure()),
        ..found
    })
}

fn process(pid: i64) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Process {
        switches: switches(&status),
        ..parse(&stat)?
    })
}

/// Reads `/proc/*/stat`. The name in it may hold anything, blanks and brackets too.
fn parse(stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Process {
        state: fields.first()?.chars().next()?,
        // Fields 14 to 17 and 22, the state being the third.
        ticks: (11..=14).map_while(number).sum(),
        born: number(19)?,
        switches: 0,
    })
}

fn switches(status: &str) -> u64 {
    let lines = status.lines();
    let counts = lines.filter_map(|line| line.split_once("ctxt_switches:")?.1.trim().parse::<u64>().ok());
    counts.sum()
}

/// The children of a process, by all its threads. `None` on a kernel that does not tell.
fn children(pid: i64) -> Option<Vec<i64>> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Some(Vec::new());
    };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let place = thread.path().join("children");
        match fs::read_to_string(&place) {
            Ok(text) => found.extend(text.split_whitespace().filter_map(|child| child.parse::<i64>().ok())),
            // The thread may have ended meanwhile.
            Err(_) if thread.path().exists() => return None,
            Err(_) => {}
        }
    }
    Some(found)
}

/// The directory of a control group: of version 2, or of the hierarchy with a controller of version 1.
fn group(groups: &str, controller: &str) -> Option<PathBuf> {
    let mut unified = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next()?, fields.next()?);
        let path = path.trim_start_matches('/');
        if names.split(',').any(|name| name == controller) {
            return Some(Path::new(GROUPS).join(names).join(path));
        }
        if names.is_empty() {
            unified = Some(Path::new(GROUPS).join(path));
        }
    }
    unified
}

fn throttled_ms(groups: &str) -> u64 {
    let text = group(groups, "cpu").and_then(|group| fs::read_to_string(group.join("cpu.stat")).ok());
    let text = text.unwrap_or_default();
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    let usec = value("throttled_usec ").map(|usec| usec / 1_000);
    let nsec = value("throttled_time ").map(|nsec| nsec / 1_000_000);
    usec.or(nsec).unwrap_or_default()
}

fn is_frozen(groups: &str) -> bool {
    let Some(group) = group(groups, "freezer") else {
        return false;
    };
    let state = fs::read_to_string(group.join("freezer.state")).unwrap_or_default();
    let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    state.trim() == "FROZEN" || events.lines().any(|line| line == "frozen 1")
}

fn pressure() -> Pressure {
    let of = |what: &str| {
        let text = fs::read_to_string(format!("/proc/pressure/{what}")).ok()?;
        some_avg10(&text)
    };
    Pressure {
        cpu: of("cpu").unwrap_or_else(by_load),
        io: of("io").unwrap_or_default(),
        memory: of("memory").unwrap_or_default(),
    }
}

/// `some avg10=1.23 avg60=...` (the kernel's `Documentation/accounting/psi.rst`).
fn some_avg10(text: &str) -> Option<u8> {
    let line = text.lines().find_map(|line| line.strip_prefix("some avg10="))?;
    let whole = line.split(['.', ' ']).next()?;
    whole.parse().ok()
}

/// On a kernel without pressure information: the share of those who want a CPU and do not have one.
fn by_load() -> u8 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split('.').next().and_then(|whole| whole.parse::<usize>().ok());
    let load = load.unwrap_or_default();
    let waiting = load.saturating_sub(cores) * 100 / load.max(1);
    u8::try_from(waiting).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_is_read() {
        let stat =
            "9033 (post) gres) S 9010 9033 9033 0 -1 4194560 4537 9509 207 60 2 23 6 4 20 0 1 0 113061 114937856";
        let found = parse(stat).unwrap();
        assert_eq!((found.state, found.ticks, found.born), ('S', 35, 113_061));
        assert!(parse("").is_none() && parse("1 (x)").is_none());
        let status = "Name:\tpostgres\nvoluntary_ctxt_switches:\t1111\nnonvoluntary_ctxt_switches:\t351\n";
        assert_eq!(switches(status), 1_462);
    }

    #[test]
    fn both_versions_of_control_groups_are_found() {
        let first = "9:name=systemd:/docker/c0\n4:cpu,cpuacct:/docker/c0\n6:freezer:/docker/c0\n0::/\n";
        let place = |groups, controller| group(groups, controller).unwrap().display().to_string();
        assert_eq!(place(first, "cpu"), "/sys/fs/cgroup/cpu,cpuacct/docker/c0");
        assert_eq!(place(first, "freezer"), "/sys/fs/cgroup/freezer/docker/c0");
        let second = "0::/system.slice/docker-c0.scope\n";
        assert_eq!(place(second, "cpu"), "/sys/fs/cgroup/system.slice/docker-c0.scope");
    }

    #[test]
    fn pressure_is_read_in_percent() {
        let text = "some avg10=33.11 avg60=18.28 avg300=24.49 total=174523432\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(some_avg10(text), Some(33));
        assert_eq!(some_avg10("some avg10=100.00 avg60=1"), Some(100));
        assert_eq!(some_avg10("nothing"), None);
        assert!(by_load() <= 100);
    }

    #[test]
    fn the_process_that_runs_this_is_seen_and_anothers_number_is_not_believed() {
        let own = i64::from(std::process::id());
        assert!(read(own, "a-container-that-it-is-not-in").is_none());
        assert!(process(own).is_some_and(|found| found.born > 0));
        assert!(children(own).is_none_or(|found| found.len() < 1000));
    }
}
