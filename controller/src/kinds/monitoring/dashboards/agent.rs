//! The agent itself: what it does, what it finds changed, and whether it keeps up.

use super::build::Dashboard;
use super::panel::Look::{Graph, Stacked, Stat, Table, Timeline};
use super::panel::Panel;

pub(super) fn board() -> Dashboard {
    Dashboard::new("reconciler-agent", "Reconciler: agent", "agent")
        .about("What the agent does, what it puts back, and whether it keeps up.")
        .choose("kind", "Kind", "label_values(reconciler_passes_total, kind)")
        .choose(
            "name",
            "Name",
            "label_values(reconciler_passes_total{kind=~\"$kind\"}, name)",
        )
        .row("Now", now())
        .row("What it does", deeds())
        .row("How it is", health())
}

fn now() -> Vec<Panel> {
    vec![
        Panel::new(Stat, 1, "Resources that are ready", "none")
            .about("Resources whose condition Ready is True, and how many there are.")
            .ask(r#"sum(reconciler_condition{kind=~"$kind", name=~"$name", type="Ready", status="True"})"#, "ready")
            .ask(r#"count(reconciler_condition{kind=~"$kind", name=~"$name", type="Ready", status="True"})"#, "of"),
        Panel::new(Stat, 2, "Errors in the manifests", "none")
            .about("As long as there are any, the last state without errors stays in force.")
            .ask("max(reconciler_manifest_problems)", "errors")
            .from(1.0, "red"),
        Panel::new(Stat, 3, "Running since", "dateTimeFromNow")
            .about("When the agent was started.")
            .ask("max(process_start_time_seconds{job=\"reconciler\"}) * 1000", "started"),
        Panel::new(Stat, 4, "Version", "none")
            .about("The version that runs.")
            .ask("max by (version) (reconciler_build_info)", "{{version}}")
            .names_only(),
        Panel::new(Timeline, 5, "Ready", "none")
            .about("Whether each resource is as its manifest says, and works.")
            .ask(
                r#"max by (kind, name) (reconciler_condition{kind=~"$kind", name=~"$name", type="Ready", status="True"})"#,
                "{{kind}}/{{name}}",
            )
            .name("0", "not ready", "red")
            .name("1", "ready", "green"),
        Panel::new(Table, 6, "Conditions", "none")
            .about("The status that every condition has now.")
            .ask(
                r#"max by (kind, name, type, status) (reconciler_condition{kind=~"$kind", name=~"$name"}) == 1"#,
                "",
            )
            .size(12, 8),
    ]
}

fn deeds() -> Vec<Panel> {
    vec![
        Panel::new(Stacked, 7, "Actions", "short")
            .about("What was done in the last 5 minutes, by the reason of its event.")
            .ask_rare(
                r#"sum by (action, outcome) (increase(reconciler_actions_total{kind=~"$kind", name=~"$name"}[5m])) > 0"#,
                "{{action}} {{outcome}}",
            ),
        Panel::new(Stacked, 8, "Put back", "short")
            .about("What somebody else had changed and was put back in the last 5 minutes.")
            .ask_rare(
                r#"sum by (name, what) (increase(reconciler_drift_total{kind=~"$kind", name=~"$name"}[5m])) > 0"#,
                "{{name}}: {{what}}",
            ),
        Panel::new(Graph, 9, "Failed actions", "short")
            .about("Actions that failed in the last 5 minutes. The agent tries again by itself.")
            .ask_rare(
                r#"sum by (name, action) (increase(reconciler_actions_total{kind=~"$kind", name=~"$name", outcome="failed"}[5m]))"#,
                "{{name}}: {{action}}",
            ),
        Panel::new(Graph, 10, "Passes", "cps")
            .about("Looks at the world per second; a blind one could see nothing.")
            .ask(
                r#"sum by (kind, outcome) (rate(reconciler_passes_total{kind=~"$kind", name=~"$name"}[$__rate_interval]))"#,
                "{{kind}} {{outcome}}",
            ),
    ]
}

fn health() -> Vec<Panel> {
    let quantile = |q: &str| {
        format!(
            "histogram_quantile({q}, sum by (kind, le) (rate(reconciler_pass_duration_seconds_bucket{{kind=~\"$kind\"}}[$__rate_interval])))"
        )
    };
    vec![
        Panel::new(Graph, 11, "Duration of a pass", "s")
            .about("How long a look and the decision take: half of them, and 99 of 100.")
            .ask(quantile("0.5"), "{{kind}} 50 %")
            .ask(quantile("0.99"), "{{kind}} 99 %"),
        Panel::new(Graph, 12, "Waiting resources", "short")
            .about("Resources that wait for a pass. More than a few for long: the host is too slow.")
            .ask("max(reconciler_queue_depth)", "waiting"),
        Panel::new(Graph, 13, "Memory", "bytes")
            .about("Resident memory of the agent.")
            .ask("max by (instance) (process_resident_memory_bytes{job=\"reconciler\"})", "{{instance}}"),
        Panel::new(Graph, 14, "Space left for the volumes", "percentunit")
            .about("Free share of the file systems that hold the volumes.")
            .ask(
                r#"min by (kind, name) (reconciler_disk_free_bytes{kind=~"$kind", name=~"$name"} / reconciler_disk_size_bytes{kind=~"$kind", name=~"$name"})"#,
                "{{kind}}/{{name}}",
            )
            .max(1.0),
    ]
}
