//! What a container's processes are doing, as `ps` on the engine's host says.

use bollard::query_parameters::TopOptionsBuilder;

use super::{Docker, LOOK};
use crate::model::Seen;
use crate::model::container::ProcessState;

/// Process id, seconds since its start, and its state. The engine needs the first to tell whose processes they are.
const COLUMNS: &str = "-eo pid,etimes,stat";

/// What the main process of a running container is doing.
pub(super) async fn main(docker: &Docker, container: &str) -> Seen<ProcessState> {
    let what = format!("list the processes of container {container}");
    let options = TopOptionsBuilder::new().ps_args(COLUMNS).build();
    let request = async |engine: bollard::Docker| engine.top_processes(container, Some(options)).await;
    match docker.call(&what, LOOK, request).await {
        Ok(listed) => oldest(&listed.processes.unwrap_or_default())
            .map_or_else(|| Seen::Unknown(format!("{what}: it has none")), Seen::Known),
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

/// The state of the oldest process: every other one came from it, or was put beside it later.
fn oldest(rows: &[Vec<String>]) -> Option<ProcessState> {
    let parsed = rows.iter().filter_map(|row| {
        let [pid, seconds, state] = row.as_slice() else {
            return None;
        };
        let age: u64 = seconds.parse().ok()?;
        let pid: u64 = pid.parse().ok()?;
        Some((age, std::cmp::Reverse(pid), state))
    });
    let (_, _, state) = parsed.max()?;
    // `t` is stopped by a debugger, which goes on with it by itself.
    Some(match state.starts_with('T') {
        true => ProcessState::Stopped,
        false => ProcessState::Alive,
    })
}

#[cfg(test)]
mod tests {
    use super::oldest;
    use crate::model::container::ProcessState;

    fn rows(text: &str) -> Vec<Vec<String>> {
        let lines = text.lines();
        lines
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn the_oldest_process_is_the_one_that_counts() {
        assert_eq!(oldest(&rows("70 12 Ts\n71 12 S\n90 1 R")), Some(ProcessState::Stopped));
        assert_eq!(oldest(&rows("170 12 Ss\n71 3 T\n90 1 R")), Some(ProcessState::Alive));
        assert_eq!(oldest(&rows("70 12 ts")), Some(ProcessState::Alive));
        assert_eq!(oldest(&rows("")), None);
        assert_eq!(oldest(&rows("what is this")), None);
    }
}
