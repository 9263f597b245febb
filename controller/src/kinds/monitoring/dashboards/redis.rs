//! Redis: what redis_exporter tells of each server.

use super::build::Dashboard;
use super::panel::Look::{Graph, Stacked, Stat};
use super::panel::Panel;

pub(super) fn board() -> Dashboard {
    Dashboard::new("reconciler-redis", "Reconciler: Redis", "redis")
        .about("State, load, memory and replication of the Redis servers.")
        .choose("server", "Server", "label_values(redis_up, server)")
        .row("State", state())
        .row("Load", load())
        .row("Memory and keys", memory())
        .row("Replication and persistence", durability())
}

/// A metric of the servers that were chosen.
fn of(metric: &str) -> String {
    format!(r#"{metric}{{server=~"$server"}}"#)
}

fn sum(metric: &str) -> String {
    format!("sum by (server) ({})", of(metric))
}

fn rate(counter: &str) -> String {
    format!("sum by (server) (rate({}[$__rate_interval]))", of(counter))
}

fn state() -> Vec<Panel> {
    vec![
        Panel::new(Stat, 1, "Up", "none")
            .about("Whether each server answers.")
            .ask(format!("max by (server) ({})", of("redis_up")), "{{server}}")
            .base("red")
            .from(1.0, "green")
            .name("0", "down", "red")
            .name("1", "up", "green"),
        Panel::new(Stat, 2, "Role", "none")
            .about("What each server says that it is.")
            .ask(
                format!("max by (server, role) ({})", of("redis_instance_info")),
                "{{server}}: {{role}}",
            )
            .names_only(),
        Panel::new(Stat, 3, "Running for", "s")
            .about("Time since the server was started.")
            .ask(
                format!("max by (server) ({})", of("redis_uptime_in_seconds")),
                "{{server}}",
            ),
        Panel::new(Stat, 4, "Clients", "none")
            .about("Connections of clients.")
            .ask(sum("redis_connected_clients"), "{{server}}"),
    ]
}

fn load() -> Vec<Panel> {
    vec![
        Panel::new(Graph, 5, "Commands per second", "ops")
            .about("Commands that were carried out.")
            .ask(rate("redis_commands_processed_total"), "{{server}}"),
        Panel::new(Stacked, 6, "Time by command", "s")
            .about("Seconds per second that each command takes.")
            .ask(
                format!("topk(10, sum by (server, cmd) (rate({}[$__rate_interval])))", of("redis_commands_duration_seconds_total")),
                "{{server}} {{cmd}}",
            ),
        Panel::new(Graph, 7, "Hit ratio", "percentunit")
            .about("Share of look-ups that found their key; no value while there are none.")
            .ask(
                format!(
                    "{hits} / ({hits} + {misses})",
                    hits = rate("redis_keyspace_hits_total"),
                    misses = rate("redis_keyspace_misses_total")
                ),
                "{{server}}",
            )
            .max(1.0),
        Panel::new(Graph, 8, "Network", "Bps")
            .about("Bytes per second in and out.")
            .ask(rate("redis_net_input_bytes_total"), "{{server}} in")
            .ask(rate("redis_net_output_bytes_total"), "{{server}} out"),
        Panel::new(Graph, 9, "Slow commands", "short")
            .about("Entries of the slow log.")
            .ask(sum("redis_slowlog_length"), "{{server}}"),
        Panel::new(Graph, 10, "Refused and blocked clients", "short")
            .about("Connections refused because of maxclients in the last 5 minutes, and clients that wait in a blocking command.")
            .ask(format!("sum by (server) (increase({}[5m]))", of("redis_rejected_connections_total")), "{{server}} refused")
            .ask(sum("redis_blocked_clients"), "{{server}} blocked"),
    ]
}

fn memory() -> Vec<Panel> {
    vec![
        Panel::new(Graph, 11, "Memory", "bytes")
            .about("Memory in use, and maxmemory where it is set.")
            .ask(sum("redis_memory_used_bytes"), "{{server}}")
            .ask_rare(format!("{} > 0", sum("redis_memory_max_bytes")), "{{server}} limit"),
        Panel::new(Stacked, 12, "Keys", "short")
            .about("Keys by database.")
            .ask_rare(
                format!("sum by (server, db) ({}) > 0", of("redis_db_keys")),
                "{{server}} {{db}}",
            ),
        Panel::new(Graph, 13, "Keys that went", "ops")
            .about("Keys per second that expired, and that were evicted because memory is full.")
            .ask(rate("redis_expired_keys_total"), "{{server}} expired")
            .ask(rate("redis_evicted_keys_total"), "{{server}} evicted"),
        Panel::new(Graph, 14, "Fragmentation", "none")
            .about(
                "Resident memory by used memory. Far above 1 for long: memory is wasted; below 1: it is swapped out.",
            )
            .ask(
                format!("max by (server) ({})", of("redis_mem_fragmentation_ratio")),
                "{{server}}",
            ),
    ]
}

fn durability() -> Vec<Panel> {
    vec![
        Panel::new(Graph, 15, "Replicas", "short")
            .about("Replicas that are connected to each server.")
            .ask(sum("redis_connected_slaves"), "{{server}}"),
        Panel::new(Graph, 16, "Link to the primary", "none")
            .about("1 when a replica's link is up. Primaries have none.")
            .ask_rare(
                format!("max by (server) ({})", of("redis_master_link_up")),
                "{{server}}",
            ),
        Panel::new(Graph, 17, "Changes since the last save", "short")
            .about("Writes that the last snapshot does not have.")
            .ask(sum("redis_rdb_changes_since_last_save"), "{{server}}"),
        Panel::new(Stat, 18, "Last save", "none")
            .about("Whether the last snapshot succeeded.")
            .ask(
                format!("min by (server) ({})", of("redis_rdb_last_bgsave_status")),
                "{{server}}",
            )
            .base("red")
            .from(1.0, "green")
            .name("0", "failed", "red")
            .name("1", "ok", "green")
            .size(12, 8),
    ]
}
