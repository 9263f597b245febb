//! The agent's own metrics. What is counted lives here; what is so at present is read off the resources when it is asked
//! for, and so is gone with them.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::view::ResourceView;
use crate::kinds::postgres;
use crate::model::status::{MemberStatus, Truth};

/// The content type of what [`Metrics::text`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels and their values.
type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// What is counted since the agent's start.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Counters,
    durations: Histograms,
    actions: Counters,
    drift: Counters,
    reseeds: Counters,
    switchovers: Counters,
    outages: Histograms,
}

/// What is so of the agent at present.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// All resources.
    pub resources: &'a [ResourceView],
    /// Keys that wait for their turn.
    pub queue_depth: usize,
    /// Errors in the manifests.
    pub problems: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("reconciler"),
            passes: Family::default(),
            durations: Family::new_with_constructor(short_times),
            actions: Family::default(),
            drift: Family::default(),
            reseeds: Family::default(),
            switchovers: Family::default(),
            outages: Family::new_with_constructor(outage_times),
        };
        metrics.register();
        metrics
    }
}

/// A pass of an idle resource takes some milliseconds; one that waits for a server that is silent takes seconds.
fn short_times() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

/// A switchover takes a tenth of a second; one that has to wait for a checkpoint takes as long as that.
fn outage_times() -> Histogram {
    Histogram::new([0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0])
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let mut counter = |name, help, counters: &Counters| registry.register(name, help, counters.clone());
        counter(
            "passes",
            "Passes over a resource; blind ones could see nothing",
            &self.passes,
        );
        counter("actions", "Steps taken, by the reason of their event", &self.actions);
        counter(
            "drift",
            "Changes by somebody else that were found and put back",
            &self.drift,
        );
        counter("reseeds", "New volumes for replicas", &self.reseeds);
        counter("switchovers", "Promotions that ended", &self.switchovers);
        let unit = Unit::Seconds;
        let help = "How long a pass took, from the look to the plan";
        registry.register_with_unit("pass_duration", help, unit.clone(), self.durations.clone());
        let help = "Time from the stop of the old primary to the new one accepting writes";
        registry.register_with_unit("switchover_outage", help, unit, self.outages.clone());
    }

    /// A pass is over.
    pub fn passed(&self, (kind, name): (&str, &str), took: Duration, could_see: bool) {
        let outcome = if could_see { "ok" } else { "blind" };
        count(
            &self.passes,
            &labels([("kind", kind), ("name", name), ("outcome", outcome)]),
        );
        let kind = labels([("kind", kind)]);
        self.durations.get_or_create(&kind).observe(took.as_secs_f64());
    }

    /// A step is over.
    pub fn acted(&self, (kind, name): (&str, &str), action: &str, succeeded: bool) {
        let outcome = if succeeded { "ok" } else { "failed" };
        let set = [("kind", kind), ("name", name), ("action", action), ("outcome", outcome)];
        count(&self.actions, &labels(set));
    }

    /// What somebody else changed was put back.
    pub fn put_back(&self, (kind, name): (&str, &str), what: &str) {
        count(&self.drift, &labels([("kind", kind), ("name", name), ("what", what)]));
    }

    /// A replica gets a new volume.
    pub fn reseeded(&self, cluster: &str, member: &str) {
        count(&self.reseeds, &labels([("cluster", cluster), ("member", member)]));
    }

    /// A promotion ended; `outage` is how long nobody accepted writes, where that was seen.
    pub fn switched(&self, cluster: &str, succeeded: bool, outage: Option<Duration>) {
        let outcome = if succeeded { "ok" } else { "failed" };
        count(&self.switchovers, &labels([("cluster", cluster), ("outcome", outcome)]));
        if let Some(outage) = outage {
            let cluster = labels([("cluster", cluster)]);
            self.outages.get_or_create(&cluster).observe(outage.as_secs_f64());
        }
    }

    /// Counters that may grow begin at 0: of one that appears with its first count Prometheus does not know that it grew.
    fn begin(&self, resources: &[ResourceView]) {
        for resource in resources {
            let of = (resource.kind.as_str(), resource.name.as_str());
            for what in ["container", "file", "parameter", "role"] {
                let of = labels([("kind", of.0), ("name", of.1), ("what", what)]);
                drop(self.drift.get_or_create(&of));
            }
            if resource.kind != postgres::cluster::KIND {
                continue;
            }
            for outcome in ["failed", "ok"] {
                let of = labels([("cluster", of.1), ("outcome", outcome)]);
                drop(self.switchovers.get_or_create(&of));
            }
            drop(self.outages.get_or_create(&labels([("cluster", of.1)])));
            for member in &resource.status.members {
                let of = labels([("cluster", of.1), ("member", &member.name)]);
                drop(self.reseeds.get_or_create(&of));
            }
        }
    }

    /// All metrics in OpenMetrics' text format.
    pub fn text(&self, present: Present<'_>) -> String {
        self.begin(present.resources);
        let mut text = String::new();
        // Writing to a string cannot fail; half of the metrics would be told as such by the missing end.
        let written = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &gauges(present)))
            .and_then(|()| encode_eof(&mut text));
        if written.is_err() {
            tracing::warn!("the metrics could not be written");
        }
        text
    }
}

fn labels<const N: usize>(set: [(&'static str, &str); N]) -> Labels {
    set.map(|(name, value)| (name, value.to_owned())).to_vec()
}

fn count(counters: &Counters, labels: &Labels) {
    counters.get_or_create(labels).inc();
}

/// What is so at present.
fn gauges(present: Present<'_>) -> Registry {
    let mut registry = Registry::default();
    let ours = registry.sub_registry_with_prefix("reconciler");
    let mut register = |name: &str, help: &str| {
        let gauges = Gauges::default();
        ours.register(name, help, gauges.clone());
        gauges
    };
    let set = |gauges: &Gauges, labels: Labels, value: f64| {
        gauges.get_or_create(&labels).set(value);
    };
    let build = register("build_info", "The agent's version");
    set(&build, labels([("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    let depth = register("queue_depth", "Resources that wait for a pass");
    set(&depth, Vec::new(), present.queue_depth as f64);
    let problems = register("manifest_problems", "Errors in the manifests");
    set(&problems, Vec::new(), present.problems as f64);
    let conditions = register("condition", "1 for the status that a condition has, else 0");
    let free = register(
        "disk_free_bytes",
        "Bytes that may still be written where the volumes are",
    );
    let size = register("disk_size_bytes", "Bytes of the file system where the volumes are");
    for resource in present.resources {
        let of = (resource.kind.as_str(), resource.name.as_str());
        for condition in &resource.status.conditions {
            for status in [Truth::True, Truth::False, Truth::Unknown] {
                let name = format!("{status:?}");
                let (kind, name) = (condition.kind.as_str(), name.as_str());
                let at = labels([("kind", of.0), ("name", of.1), ("type", kind), ("status", name)]);
                set(&conditions, at, f64::from(u8::from(condition.status == status)));
            }
        }
        if let Some((free_bytes, size_bytes)) = resource.status.disk {
            set(&free, labels([("kind", of.0), ("name", of.1)]), free_bytes as f64);
            set(&size, labels([("kind", of.0), ("name", of.1)]), size_bytes as f64);
        }
    }
    members(&mut register, present.resources);
    process(&mut registry);
    registry
}

/// What is so of the members of clusters: those that have a role in replication.
fn members(register: &mut impl FnMut(&str, &str) -> Gauges, resources: &[ResourceView]) {
    type Read = fn(&MemberStatus) -> Option<f64>;
    let gauges: [(&str, &str, Read); 7] = [
        ("member_ready", "Whether it does what its role asks for", |m| {
            Some(f64::from(u8::from(m.ready)))
        }),
        ("member_lag_bytes", "Bytes that a replica is behind its primary", |m| {
            m.lag_bytes.map(|bytes| bytes as f64)
        }),
        (
            "member_lag_seconds",
            "Seconds of commits that a replica is behind its primary",
            |m| m.lag_seconds.map(|secs| secs as f64),
        ),
        ("member_timeline", "The timeline that it writes or follows", |m| {
            m.timeline.map(f64::from)
        }),
        (
            "member_slot_wal_bytes",
            "Bytes of WAL that its slot holds on the primary",
            |m| m.slot_held_bytes.map(|bytes| bytes as f64),
        ),
        ("reseed_failures", "Failed seedings in a row", |m| {
            Some(f64::from(m.seed_failures))
        }),
        ("member_streaming", "Whether a replica streams", |m| {
            (m.role == "replica").then(|| f64::from(u8::from(m.ready && m.state == "streaming")))
        }),
    ];
    let roles = register("member_role", "1 for the role that it has");
    let clusters = || resources.iter().filter(|r| r.kind == postgres::cluster::KIND);
    for resource in clusters() {
        for member in &resource.status.members {
            let role = if member.role.is_empty() {
                "unknown"
            } else {
                &member.role
            };
            let at = labels([("cluster", &resource.name), ("member", &member.name), ("role", role)]);
            roles.get_or_create(&at).set(1.0);
        }
    }
    for (name, help, read) in gauges {
        let family = register(name, help);
        for resource in clusters() {
            for member in &resource.status.members {
                if let Some(value) = read(member) {
                    let at = labels([("cluster", &resource.name), ("member", &member.name)]);
                    family.get_or_create(&at).set(value);
                }
            }
        }
    }
}

/// What every exporter says of its process.
fn process(registry: &mut Registry) {
    let mut gauge = |name: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
    gauge(
        "process_resident_memory_bytes",
        "Resident memory of the agent",
        kib.map(|kib| kib * 1024.0),
    );
    gauge(
        "process_start_time_seconds",
        "When the agent was started, in seconds since the epoch",
        start_time(&read("/proc/self/stat"), &read("/proc/stat")),
    );
}

/// When a process was started: `starttime`, in ticks of a hundredth of a second after the boot (`proc(5)`).
fn start_time(process: &str, machine: &str) -> Option<f64> {
    // The name in parentheses may hold anything; the field is the 20th behind it.
    let ticks: f64 = process.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let boot = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + ticks / 100.0)
}
