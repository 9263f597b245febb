//! What a container's processes are doing: from `/proc` where the engine runs on this host, else as `ps` on the engine's
//! host says.

use bollard::query_parameters::TopOptionsBuilder;

use super::{Docker, LOOK, local, observe, vitals};
use crate::model::Seen;
use crate::model::process::{ProcessState, Vitals};

/// Process id, its parent's, seconds since its start, CPU time and state. The engine needs the first to tell whose
/// processes they are.
const COLUMNS: &str = "-eo pid,ppid,etimes,time,stat";

/// What the processes of a running container are doing.
pub(super) async fn of(docker: &Docker, container: &str) -> Seen<Vitals> {
    if local::is_here(docker).await
        && let Ok(Some(inspected)) = observe::inspect(docker, container).await
        && let Some(pid) = inspected.state.and_then(|state| state.pid)
        && let Some(found) = vitals::read(pid, inspected.id.as_deref().unwrap_or(container))
    {
        return Seen::Known(found);
    }
    let what = format!("list the processes of container {container}");
    let options = TopOptionsBuilder::new().ps_args(COLUMNS).build();
    let request = async |engine: bollard::Docker| engine.top_processes(container, Some(options)).await;
    match docker.call(&what, LOOK, request).await {
        Ok(listed) => listed_vitals(&listed.processes.unwrap_or_default())
            .map_or_else(|| Seen::Unknown(format!("{what}: it has none")), Seen::Known),
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

/// One line of `ps`.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    pid: u64,
    parent: u64,
    age_secs: u64,
    cpu_secs: u64,
    state: &'a str,
}

fn row(fields: &[String]) -> Option<Row<'_>> {
    let [pid, parent, age, cpu, state] = fields else {
        return None;
    };
    Some(Row {
        pid: pid.parse().ok()?,
        parent: parent.parse().ok()?,
        age_secs: age.parse().ok()?,
        cpu_secs: clock_secs(cpu)?,
        state,
    })
}

/// Reads `[[days-]hours:]minutes:seconds`.
fn clock_secs(text: &str) -> Option<u64> {
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let mut secs = 0_u64;
    for part in clock.split(':') {
        secs = secs.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    secs.checked_add(days.parse::<u64>().ok()?.checked_mul(86_400)?)
}

/// The oldest process is the main one: every other one came from it, or was put beside it later.
fn listed_vitals(listed: &[Vec<String>]) -> Option<Vitals> {
    let rows: Vec<Row<'_>> = listed.iter().filter_map(|fields| row(fields)).collect();
    let main = rows
        .iter()
        .max_by_key(|row| (row.age_secs, std::cmp::Reverse(row.pid)))?;
    let mut family = vec![*main];
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|row| row.pid) {
        family.extend(rows.iter().filter(|row| row.parent == parent && row.pid != parent));
        next += 1;
    }
    let count = |letters: &[char]| u32::try_from(family.iter().filter(|row| row.state.starts_with(letters)).count());
    Some(Vitals {
        // `t` is stopped by a debugger, which goes on with it by itself.
        main: match main.state.starts_with('T') {
            true => ProcessState::Stopped,
            false => ProcessState::Alive,
        },
        main_waits: main.state.starts_with(['R', 'D']),
        born: main.pid,
        processes: u32::try_from(family.len()).ok()?,
        runnable: count(&['R']).ok()?,
        in_disk_sleep: count(&['D']).ok()?,
        cpu_ms: family.iter().map(|row| row.cpu_secs).sum::<u64>() * 1000,
        ..Vitals::default()
    })
}

#[cfg(test)]
mod tests {
    use super::{clock_secs, listed_vitals};
    use crate::model::process::ProcessState;

    fn rows(text: &str) -> Vec<Vec<String>> {
        let lines = text.lines();
        lines
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn the_oldest_process_is_the_one_that_counts() {
        let main = |text| listed_vitals(&rows(text)).map(|found| found.main);
        let stopped = main("70 9 12 00:00:01 Ts\n71 70 12 00:00:01 S\n90 70 1 00:00:01 R");
        assert_eq!(stopped, Some(ProcessState::Stopped));
        let alive = main("170 9 12 00:00:01 Ss\n71 170 3 00:00:01 T\n90 170 1 00:00:01 R");
        assert_eq!(alive, Some(ProcessState::Alive));
        assert_eq!(main("70 9 12 00:00:01 ts"), Some(ProcessState::Alive));
        assert_eq!(main(""), None);
        assert_eq!(main("what is this"), None);
    }

    #[test]
    fn what_was_put_beside_the_server_does_not_count() {
        let text =
            "70 9 99 00:01:01 Ss\n71 70 98 00:00:02 S\n72 71 97 00:00:03 D\n80 9 1 00:09:00 R\n81 80 1 00:09:00 R";
        let found = listed_vitals(&rows(text)).unwrap();
        assert_eq!((found.processes, found.runnable, found.in_disk_sleep), (3, 0, 1));
        assert_eq!((found.cpu_ms, found.switches), (66_000, None));
    }

    #[test]
    fn times_of_ps_are_seconds() {
        assert_eq!(clock_secs("00:01:02"), Some(62));
        assert_eq!(clock_secs("2-01:00:00"), Some(2 * 86_400 + 3_600));
        assert_eq!(clock_secs("9:59"), Some(599));
        assert_eq!(clock_secs("?"), None);
    }
}
