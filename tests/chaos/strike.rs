//! How each fault is done, and undone.

use std::time::Duration;

use serde_json::json;

use crate::Done;
use crate::chance::Chance;
use crate::cluster::{Cluster, Seen};
use crate::fault::Fault;
use crate::host::{Host, docker};

/// About 160 MB of WAL, more than a slot may hold.
const MUCH_WAL: &str = "create table if not exists junk (text text); \
     insert into junk select repeat('x', 1000) from generate_series(1, 70000); \
     insert into junk select repeat('y', 1000) from generate_series(1, 70000); \
     truncate junk";

/// What ends a fault that lasts.
pub enum Undo {
    /// The container goes on.
    Unpause(String),
    /// The postmaster goes on.
    Thaw(String),
    /// The agent is started.
    StartAgent,
}

impl Undo {
    /// Does it. What the agent has replaced meanwhile needs none of it.
    pub fn carry_out(self, host: &mut Host) -> Done<()> {
        match self {
            Undo::Unpause(container) => docker(&["unpause", &container]).map(drop),
            Undo::Thaw(container) => docker(&["kill", "-s", "CONT", &container]).map(drop),
            Undo::StartAgent if host.has_agent() => Ok(()),
            Undo::StartAgent => host.start_agent(),
        }
    }
}

/// A fault that took place.
#[derive(Default)]
pub struct Struck {
    /// What was hit, in words.
    pub what: String,
    /// The volumes that were taken away.
    pub taken: Vec<String>,
    /// What ends it, and after how long.
    pub undo: Vec<(Duration, Undo)>,
}

fn struck(what: impl Into<String>) -> Done<Option<Struck>> {
    Ok(Some(Struck {
        what: what.into(),
        ..Struck::default()
    }))
}

/// Lets a fault happen to a cluster; `None` where it cannot just now.
pub fn strike(fault: Fault, host: &mut Host, cluster: &mut Cluster, chance: &mut Chance) -> Done<Option<Struck>> {
    match fault {
        Fault::AgentKilled => return agent_killed(host, chance),
        Fault::StateLost => return state_lost(host),
        Fault::Scaled | Fault::Reload | Fault::Restart => return edit(fault, host, cluster, chance),
        _ => {}
    }
    let Some(seen) = cluster.look(host)? else {
        return Ok(None);
    };
    let names: Vec<String> = seen.members.iter().map(|(name, _)| name.clone()).collect();
    let (Some(member), Some(replica)) = (chance.one_of(&names).cloned(), chance.one_of(&seen.replicas()).cloned())
    else {
        return Ok(None);
    };
    let container = cluster.container(&member);
    match fault {
        Fault::Kill => on_container(&["kill", &container], &member),
        Fault::Stop => on_container(&["stop", "-t", "10", &container], &member),
        Fault::Remove => on_container(&["rm", "-f", &container], &member),
        Fault::Disconnect => {
            let network = format!("{}-net", cluster.name);
            on_container(&["network", "disconnect", "-f", &network, &container], &member)
        }
        Fault::Pause => lasting(
            &["pause", &container],
            &member,
            chance,
            Undo::Unpause(container.clone()),
        ),
        Fault::Freeze => {
            let undo = Undo::Thaw(container.clone());
            lasting(&["kill", "-s", "STOP", &container], &member, chance, undo)
        }
        Fault::AlterSystem => {
            let sql = format!("alter system set work_mem = '{}MB'", 5 + chance.below(20));
            let _ = cluster.sql(&member, &sql);
            let _ = cluster.sql(&member, "select pg_reload_conf()");
            struck(member)
        }
        Fault::FileEdited => {
            let script = "echo \"work_mem = 3MB\" >>/etc/reconciler/postgresql.conf";
            on_container(&["exec", "-u", "root", &container, "sh", "-c", script], &member)
        }
        Fault::SlotDropped => drop_slot(cluster, &seen, &replica),
        Fault::WalGone => wal_gone(cluster, &seen, &replica),
        Fault::ReplicaGone => vanish(cluster, &seen, &replica),
        Fault::PrimaryGone => match seen.primary.clone() {
            Some(primary) => vanish(cluster, &seen, &primary),
            None => Ok(None),
        },
        Fault::Promote => {
            host.begin(&["promote", &replica, "--cluster", &cluster.name, "--timeout", "60"])?;
            struck(replica)
        }
        Fault::Force => {
            host.begin(&[
                "promote",
                &replica,
                "--cluster",
                &cluster.name,
                "--force",
                "--timeout",
                "60",
            ])?;
            struck(replica)
        }
        Fault::AgentKilled | Fault::StateLost | Fault::Scaled | Fault::Reload | Fault::Restart => Ok(None),
    }
}

/// Runs a docker command on a member. The container may just not be there.
fn on_container(arguments: &[&str], member: &str) -> Done<Option<Struck>> {
    if docker(arguments)?.succeeded {
        return struck(member);
    }
    Ok(None)
}

fn lasting(arguments: &[&str], member: &str, chance: &mut Chance, undo: Undo) -> Done<Option<Struck>> {
    let after = chance.time(500, 15_000);
    if !docker(arguments)?.succeeded {
        return Ok(None);
    }
    Ok(Some(Struck {
        what: format!("{member} for {:.1} s", after.as_secs_f64()),
        undo: vec![(after, undo)],
        ..Struck::default()
    }))
}

fn agent_killed(host: &mut Host, chance: &mut Chance) -> Done<Option<Struck>> {
    if !host.has_agent() {
        return Ok(None);
    }
    host.kill_agent()?;
    let after = chance.time(0, 2000);
    Ok(Some(Struck {
        what: format!("the agent, for {:.1} s", after.as_secs_f64()),
        undo: vec![(after, Undo::StartAgent)],
        ..Struck::default()
    }))
}

fn state_lost(host: &mut Host) -> Done<Option<Struck>> {
    if !host.has_agent() {
        return Ok(None);
    }
    host.kill_agent()?;
    host.lose_state()?;
    host.start_agent()?;
    struck("the agent's state directory")
}

fn edit(fault: Fault, host: &Host, cluster: &mut Cluster, chance: &mut Chance) -> Done<Option<Struck>> {
    let what = match fault {
        Fault::Scaled => {
            let replicas = if cluster.spec["replicas"] == 2 { 3 } else { 2 };
            cluster.spec["replicas"] = json!(replicas);
            format!("replicas: {replicas}")
        }
        Fault::Reload => {
            let millis = 1000 + chance.below(1000);
            cluster.spec["parameters"]["log_min_duration_statement"] = json!(millis);
            format!("log_min_duration_statement: {millis}")
        }
        _ => {
            let connections = 40 + chance.below(20);
            cluster.spec["parameters"]["max_connections"] = json!(connections);
            format!("max_connections: {connections}")
        }
    };
    cluster.save(host)?;
    struck(what)
}

fn drop_slot(cluster: &Cluster, seen: &Seen, replica: &str) -> Done<Option<Struck>> {
    let Some(primary) = &seen.primary else {
        return Ok(None);
    };
    let slot = replica.replace('-', "_");
    let end = format!("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{slot}'");
    let drop = format!("select pg_drop_replication_slot('{slot}')");
    // The replica may have it in use again by then: another time, then.
    if cluster.sql(primary, &end).is_ok() && cluster.sql(primary, &drop).is_ok() {
        return struck(replica);
    }
    Ok(None)
}

fn wal_gone(cluster: &Cluster, seen: &Seen, replica: &str) -> Done<Option<Struck>> {
    let Some(primary) = &seen.primary else {
        return Ok(None);
    };
    let container = cluster.container(replica);
    if !docker(&["pause", &container])?.succeeded {
        return Ok(None);
    }
    // Whatever becomes of it, the replica goes on.
    let much = cluster
        .sql(primary, MUCH_WAL)
        .and_then(|_| cluster.sql(primary, "checkpoint"));
    let _ = much;
    Ok(Some(Struck {
        what: replica.to_owned(),
        undo: vec![(Duration::ZERO, Undo::Unpause(container))],
        ..Struck::default()
    }))
}

/// Removes a member's container and volume. The agent may make the container again in between; then the volume cannot
/// go, and it is tried again.
fn vanish(cluster: &Cluster, seen: &Seen, member: &str) -> Done<Option<Struck>> {
    let Some(volume) = seen.volume(member) else {
        return Ok(None);
    };
    for _ in 0..50 {
        docker(&["rm", "-f", &cluster.container(member)])?;
        if docker(&["volume", "rm", volume])?.succeeded {
            return Ok(Some(Struck {
                what: format!("{member} with {volume}"),
                taken: vec![volume.to_owned()],
                ..Struck::default()
            }));
        }
    }
    Ok(None)
}
