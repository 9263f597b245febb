//! PostgreSQL at a glance. What it asks has one name with every exporter: our own queries, and the agent.

use super::build::Dashboard;
use super::panel::Look::{Graph, Stacked, Stat, Table};
use super::panel::Panel;
use super::replication;

/// The members that were chosen.
const CHOSEN: &str = r#"cluster=~"$cluster", member=~"$member""#;

pub(super) fn board() -> Dashboard {
    Dashboard::new("reconciler-postgres", "Reconciler: PostgreSQL overview", "postgres")
        .about("State, load, space and slow statements of the PostgreSQL clusters.")
        .choose("cluster", "Cluster", "label_values(reconciler_member_ready, cluster)")
        .choose(
            "member",
            "Member",
            "label_values(reconciler_member_ready{cluster=~\"$cluster\"}, member)",
        )
        .choose(
            "database",
            "Database",
            "label_values(reconciler_pg_database_size_bytes{cluster=~\"$cluster\"}, datname)",
        )
        .row("State", state())
        .row("Load", load())
        .row("Statements", statements())
        .row("Locks and transactions", locks())
        .row("Space and WAL", space())
}

/// The sum for each member, whatever role it had meanwhile.
fn by_member(expr: &str) -> String {
    format!("sum by (cluster, member) ({expr})")
}

/// A counter's rate for each member, over the databases that were chosen.
fn rate(counter: &str) -> String {
    by_member(&format!(
        r#"rate(reconciler_pg_database_stats_{counter}_total{{{CHOSEN}, datname=~"$database"}}[$__rate_interval])"#
    ))
}

/// A gauge's largest value for each member.
fn gauge(name: &str) -> String {
    format!("max by (cluster, member) ({name}{{{CHOSEN}}})")
}

fn state() -> Vec<Panel> {
    vec![
        replication::roles().size(12, 8),
        Panel::new(Stat, 2, "Members that work", "none")
            .about("Members that answer and do what their role asks, and how many there are.")
            .ask(
                format!("sum by (cluster) (reconciler_member_ready{{{CHOSEN}}})"),
                "{{cluster}}",
            )
            .ask(
                format!("count by (cluster) (reconciler_member_ready{{{CHOSEN}}})"),
                "{{cluster}} of",
            ),
        Panel::new(Stat, 3, "Servers that the exporters reach", "none")
            .about("Servers that let their exporter in, of all that are asked.")
            .ask(format!("sum by (cluster) (pg_up{{{CHOSEN}}})"), "{{cluster}}")
            .ask(format!("count by (cluster) (pg_up{{{CHOSEN}}})"), "{{cluster}} of"),
        Panel::new(Stat, 4, "Connections in use", "percentunit")
            .about("Share of the connections that are open to ordinary roles, of the member that is fullest.")
            .ask(
                format!(
                    "max by (cluster) ({} / ({} - {}))",
                    gauge("reconciler_pg_server_connections"),
                    gauge("reconciler_pg_server_max_connections"),
                    gauge("reconciler_pg_server_reserved_connections")
                ),
                "{{cluster}}",
            )
            .from(0.8, "orange")
            .from(0.95, "red")
            .max(1.0),
        Panel::new(Stat, 5, "Restarts that are due", "none")
            .about("Parameters that take effect only after a restart.")
            .ask(
                format!(
                    "max by (cluster) ({})",
                    gauge("reconciler_pg_server_pending_restart_settings")
                ),
                "{{cluster}}",
            )
            .from(1.0, "orange"),
    ]
}

fn load() -> Vec<Panel> {
    vec![
        Panel::new(Stacked, 6, "Connections", "short")
            .about("Connections of clients by state.")
            .ask(
                format!("sum by (cluster, member, state) (reconciler_pg_connections_count{{{CHOSEN}}})"),
                "{{cluster}}/{{member}} {{state}}",
            ),
        Panel::new(Graph, 7, "Connections and their limit", "short")
            .about("All connections of clients, and max_connections.")
            .ask(gauge("reconciler_pg_server_connections"), "{{cluster}}/{{member}}")
            .ask(
                gauge("reconciler_pg_server_max_connections"),
                "{{cluster}}/{{member}} limit",
            ),
        Panel::new(Graph, 8, "Transactions per second", "ops")
            .about("Commits and rollbacks.")
            .ask(rate("xact_commit"), "{{cluster}}/{{member}} commits")
            .ask(rate("xact_rollback"), "{{cluster}}/{{member}} rollbacks"),
        Panel::new(Graph, 9, "Rows written per second", "ops")
            .about("Inserted, updated and deleted rows.")
            .ask(rate("tup_inserted"), "{{cluster}}/{{member}} inserted")
            .ask(rate("tup_updated"), "{{cluster}}/{{member}} updated")
            .ask(rate("tup_deleted"), "{{cluster}}/{{member}} deleted"),
        Panel::new(Graph, 10, "Cache hit ratio", "percentunit")
            .about("Share of blocks that were found in shared buffers; no value while none is asked for.")
            .ask(
                format!("{} / ({} + {})", rate("blks_hit"), rate("blks_hit"), rate("blks_read")),
                "{{cluster}}/{{member}}",
            )
            .max(1.0),
        Panel::new(Graph, 11, "Temporary files", "Bps")
            .about("Bytes per second that sorts and joins put on disk because work_mem is too small for them.")
            .ask(rate("temp_bytes"), "{{cluster}}/{{member}}"),
        replication::lag_bytes(12),
        Panel::new(Graph, 13, "Lag in seconds", "s")
            .about("Age of what a replica has replayed last; 0 when it streams and nothing is missing.")
            .ask(gauge("reconciler_pg_receiver_lag_seconds"), "{{cluster}}/{{member}}"),
    ]
}

fn statements() -> Vec<Panel> {
    let of = |column: &str| {
        format!(
            r#"sum by (cluster, datname, usename, queryid, query) (increase(reconciler_pg_statements_{column}_total{{{CHOSEN}, datname=~"$database"}}[$__range]))"#
        )
    };
    let per_call = format!("{} / ({} > 0)", of("exec_seconds"), of("calls"));
    vec![
        Panel::new(Table, 14, "Slowest statements", "s")
            .about("Mean time of a call in the time that is shown. Needs the extension pg_stat_statements.")
            .ask_rare(format!("topk(10, {per_call})"), ""),
        Panel::new(Table, 15, "Statements that take most time", "s")
            .about("All calls together in the time that is shown. Needs the extension pg_stat_statements.")
            .ask_rare(format!("topk(10, {} > 0)", of("exec_seconds")), ""),
    ]
}

fn locks() -> Vec<Panel> {
    let locks = |column: &str| format!("sum by (cluster, member, mode) (reconciler_pg_locks_{column}{{{CHOSEN}}})");
    let increase = |counter: &str| {
        by_member(&format!(
            r#"increase(reconciler_pg_database_stats_{counter}_total{{{CHOSEN}, datname=~"$database"}}[5m])"#
        ))
    };
    vec![
        Panel::new(Stacked, 16, "Locks that are held", "short")
            .about("Locks by mode.")
            .ask(locks("held"), "{{cluster}}/{{member}} {{mode}}"),
        Panel::new(Graph, 17, "Who waits for a lock", "short")
            .about("Connections that wait, and the modes that are waited for.")
            .ask(
                gauge("reconciler_pg_transactions_waiting_for_lock"),
                "{{cluster}}/{{member}}",
            )
            .ask_rare(format!("{} > 0", locks("waiting")), "{{cluster}}/{{member}} {{mode}}"),
        Panel::new(Graph, 18, "Deadlocks and cancelled queries", "short")
            .about("Deadlocks, and queries on replicas that were in recovery's way, in the last 5 minutes.")
            .ask(increase("deadlocks"), "{{cluster}}/{{member}} deadlocks")
            .ask(increase("conflicts"), "{{cluster}}/{{member}} cancelled"),
        Panel::new(Graph, 19, "Oldest transactions", "s")
            .about("Ages of the oldest transaction that works, of the one that idles, and of the one that is prepared.")
            .ask(
                gauge("reconciler_pg_transactions_oldest_active_seconds"),
                "{{cluster}}/{{member}} active",
            )
            .ask(
                gauge("reconciler_pg_transactions_oldest_idle_seconds"),
                "{{cluster}}/{{member}} idle",
            )
            .ask(
                gauge("reconciler_pg_transactions_oldest_prepared_seconds"),
                "{{cluster}}/{{member}} prepared",
            ),
    ]
}

fn space() -> Vec<Panel> {
    let checkpoints = |why: &str| {
        by_member(&format!(
            "increase(reconciler_pg_checkpoints_{why}_total{{{CHOSEN}}}[5m])"
        ))
    };
    vec![
        Panel::new(Stacked, 20, "Size of the databases", "bytes")
            .about("Size on disk, of the largest copy.")
            .ask(
                format!(r#"max by (cluster, datname) (reconciler_pg_database_size_bytes{{{CHOSEN}, datname=~"$database"}})"#),
                "{{cluster}}: {{datname}}",
            ),
        Panel::new(Graph, 21, "Space left for the volumes", "percentunit")
            .about("Free share of the file systems that hold the volumes.")
            .ask(
                r#"min by (name) (reconciler_disk_free_bytes{name=~"$cluster"} / reconciler_disk_size_bytes{name=~"$cluster"})"#,
                "{{name}}",
            )
            .max(1.0),
        Panel::new(Graph, 22, "WAL written", "Bps")
            .about("WAL per second: written by a primary, received by a replica.")
            .ask(
                by_member(&format!("rate(reconciler_pg_server_wal_bytes_total{{{CHOSEN}}}[$__rate_interval])")),
                "{{cluster}}/{{member}}",
            ),
        Panel::new(Graph, 23, "WAL on disk", "bytes")
            .about("Size of pg_wal, and what slots hold back.")
            .ask(gauge("reconciler_pg_wal_size_bytes"), "{{cluster}}/{{member}}")
            .ask_rare(
                format!("max by (cluster, member, slot_name) (reconciler_pg_slot_retained_bytes{{{CHOSEN}}})"),
                "{{cluster}}/{{member}} slot {{slot_name}}",
            ),
        Panel::new(Graph, 24, "Checkpoints", "short")
            .about("In the last 5 minutes. Many that were requested: max_wal_size is small for this load.")
            .ask(checkpoints("timed"), "{{cluster}}/{{member}} timed")
            .ask(checkpoints("requested"), "{{cluster}}/{{member}} requested"),
        Panel::new(Graph, 25, "Transactions until wraparound protection", "percentunit")
            .about("Age of the oldest transaction that is not frozen, as a share of autovacuum_freeze_max_age.")
            .ask(
                format!(
                    r#"max by (cluster, member) (reconciler_pg_database_frozen_xid_age{{{CHOSEN}, datname=~"$database"}}) / {}"#,
                    gauge("reconciler_pg_server_freeze_max_age")
                ),
                "{{cluster}}/{{member}}",
            ),
    ]
}
