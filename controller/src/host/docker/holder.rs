//! Who holds a port of the host: best effort, for the text of an error.

use super::{Docker, convert, observe};

const LISTENING: &str = "0A";

/// The container or the process that holds a port, in words.
pub(super) async fn of_port(docker: &Docker, port: u16) -> Option<String> {
    let summaries = observe::summaries(docker, None).await.unwrap_or_default();
    let mut neighbours = summaries.into_iter().map(convert::neighbour);
    if let Some(holder) = neighbours.find(|neighbour| neighbour.host_ports.contains(&port)) {
        return Some(format!("container {} (image {})", holder.name, holder.image));
    }
    tokio::task::spawn_blocking(move || process(port)).await.ok().flatten()
}

fn process(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables.iter().flat_map(|table| listeners(table, port)).collect();
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.into_iter().find(|pid| holds(*pid, &sockets))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {} (pid {pid})", name.trim()))
}

fn holds(pid: u32, sockets: &[String]) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut targets = descriptors
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

/// The sockets that listen on a port, as `/proc/*/fd` names them, from the kernel's table of TCP sockets.
fn listeners(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTENING;
        is_it.then(|| format!("socket:[{}]", fields.get(9).unwrap_or(&"")))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 4242 1 0 100 0 0 10 0\n\
        1: 0100007F:1538 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 20 4 30 10 -1\n";

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        assert_eq!(listeners(TABLE, 5432), ["socket:[4242]"]);
        assert!(listeners(TABLE, 80).is_empty());
    }

    #[test]
    fn a_port_that_this_process_holds_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = process(listener.local_addr().unwrap().port()).unwrap();
        assert!(found.contains(&format!("(pid {})", std::process::id())), "{found}");
    }
}
