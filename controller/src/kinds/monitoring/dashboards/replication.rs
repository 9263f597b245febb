//! Replication: who follows whom, how far behind, and what was done about it.

use super::build::Dashboard;
use super::panel::Look::{Graph, Stat, Timeline};
use super::panel::Panel;

pub(super) fn board() -> Dashboard {
    Dashboard::new("reconciler-replication", "Reconciler: replication", "postgres")
        .about("Roles, lag, slots, switchovers and seedings of the PostgreSQL clusters.")
        .choose("cluster", "Cluster", "label_values(reconciler_member_ready, cluster)")
        .choose(
            "member",
            "Member",
            "label_values(reconciler_member_ready{cluster=~\"$cluster\"}, member)",
        )
        .row("Who follows", members())
        .row("How far behind", lag())
        .row("What was done", deeds())
}

/// The role of each member as a number: 2 primary, 1 replica, 0 unknown.
pub(super) fn roles() -> Panel {
    let of = |role: &str| format!(r#"reconciler_member_role{{cluster=~"$cluster", member=~"$member", role="{role}"}}"#);
    Panel::new(Timeline, 1, "Roles", "none")
        .about("What each member is. Two primaries at a time in one cluster must never be seen.")
        .ask(
            format!(
                "sum by (cluster, member) ({} * 2 or {} or {} * 0)",
                of("primary"),
                of("replica"),
                of("unknown")
            ),
            "{{cluster}}/{{member}}",
        )
        .name("0", "unknown", "red")
        .name("1", "replica", "blue")
        .name("2", "primary", "green")
}

pub(super) fn lag_bytes(id: u32) -> Panel {
    Panel::new(Graph, id, "Lag in bytes", "bytes")
        .about("WAL that the primary has written and the replica has not replayed.")
        .ask(
            r#"max by (cluster, member) (reconciler_member_lag_bytes{cluster=~"$cluster", member=~"$member"})"#,
            "{{cluster}}/{{member}}",
        )
}

fn members() -> Vec<Panel> {
    vec![
        roles(),
        Panel::new(Timeline, 2, "Streaming", "none")
            .about("Whether each replica receives from its primary.")
            .ask(
                r#"max by (cluster, member) (reconciler_member_streaming{cluster=~"$cluster", member=~"$member"})"#,
                "{{cluster}}/{{member}}",
            )
            .name("0", "no", "red")
            .name("1", "streaming", "green"),
        Panel::new(Graph, 3, "Timeline", "none")
            .about("Grows with every promotion; all members of a cluster are to be on the same one.")
            .ask(
                r#"max by (cluster, member) (reconciler_member_timeline{cluster=~"$cluster", member=~"$member"})"#,
                "{{cluster}}/{{member}}",
            ),
        Panel::new(Graph, 4, "WAL kept by slots", "bytes")
            .about("WAL that a replica's slot keeps on the primary. It grows while the replica is away.")
            .ask(
                r#"max by (cluster, member) (reconciler_member_slot_wal_bytes{cluster=~"$cluster", member=~"$member"})"#,
                "{{cluster}}/{{member}}",
            ),
    ]
}

fn lag() -> Vec<Panel> {
    vec![
        lag_bytes(5),
        Panel::new(Graph, 6, "Lag in seconds", "s")
            .about("Age of the last transaction that the replica has replayed; 0 when nothing is missing.")
            .ask(
                r#"max by (cluster, member) (reconciler_member_lag_seconds{cluster=~"$cluster", member=~"$member"})"#,
                "{{cluster}}/{{member}}",
            ),
    ]
}

fn deeds() -> Vec<Panel> {
    let outage = |q: &str| {
        format!(
            "histogram_quantile({q}, sum by (cluster, le) (increase(reconciler_switchover_outage_seconds_bucket{{cluster=~\"$cluster\"}}[$__range])))"
        )
    };
    vec![
        Panel::new(Stat, 7, "Switchovers", "none")
            .about("Switchovers and failovers in the time that is shown, by outcome.")
            .ask_rare(
                r#"sum by (cluster, outcome) (increase(reconciler_switchovers_total{cluster=~"$cluster"}[$__range]))"#,
                "{{cluster}} {{outcome}}",
            )
            .size(8, 6),
        Panel::new(Stat, 8, "Without a primary", "s")
            .about("How long a switchover kept writers waiting: half of them, and 99 of 100, in the time that is shown.")
            .ask_rare(outage("0.5"), "{{cluster}} 50 %")
            .ask_rare(outage("0.99"), "{{cluster}} 99 %")
            .size(8, 6),
        Panel::new(Stat, 9, "Seedings", "none")
            .about("Times that a replica got all data anew in the time that is shown.")
            .ask_rare(
                r#"sum by (cluster, member) (increase(reconciler_reseeds_total{cluster=~"$cluster", member=~"$member"}[$__range]))"#,
                "{{cluster}}/{{member}}",
            )
            .size(8, 6),
        Panel::new(Graph, 10, "Failed seedings in a row", "short")
            .about("0 is right. The agent tries again, later each time.")
            .ask_rare(
                r#"max by (cluster, member) (reconciler_reseed_failures{cluster=~"$cluster", member=~"$member"})"#,
                "{{cluster}}/{{member}}",
            )
            .size(24, 7),
    ]
}
