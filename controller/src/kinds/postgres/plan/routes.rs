//! Role names: DNS names on the service network that follow the roles. `<cluster>-rw` is the primary, `<cluster>-ro` the
//! replicas that stream, `<cluster>-r` both. The engine gives names to a container when it joins a network, so a change
//! of role is leaving and joining; leaving cuts the connections over it, which is wanted of a demoted member.
//!
//! The names belong to the attachment and outlast a stop. Who is started again as a replica leaves before the start; a
//! primary that was killed keeps its name, and restarts with no call more than before.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::desired::{self, Role};
use super::super::memory::Change;
use super::super::observe;
use super::history;
use super::life;
use super::view::{Step, View};
use crate::converge;
use crate::model::container::{ContainerObserved, RunState};
use crate::model::labels;
use crate::model::plan::{Action, EngineOp, Op, Plan};
use crate::model::postgres::{Down, Server};

/// The route of writes.
pub const WRITES: &str = "rw";
/// The route of reads that may be a little behind.
pub const READS: &str = "ro";
/// The route of reads from whoever is there.
pub const ANY: &str = "r";
/// All routes.
pub const ROUTES: [&str; 3] = [WRITES, READS, ANY];

/// How long a replica keeps its names without a stream, in seconds: a promotion interrupts all streams for a moment, and
/// who reads need not notice. Leaving cuts connections.
const GRACE_SECS: i64 = 5;
/// A replica joins when it is within the lag limit and leaves when it is so many times beyond: at one and the same limit
/// a busy one would come and go, and cut its clients each time.
const LEAVES_AT_LAG: u64 = 2;

/// Makes the service network. `false` while there is none.
pub fn lay(view: &View<'_>, plan: &mut Plan<Change>) -> bool {
    let wanted = desired::service_network(view.cluster);
    let networks = &view.observed.objects.networks;
    if let Some(found) = networks.iter().find(|network| network.name == wanted.name) {
        converge::other_subnet(found, &wanted, "cluster", plan);
        return true;
    }
    if view.observed.objects.foreign_networks.contains(&wanted.name) {
        plan.block(
            &wanted.name,
            "NameTaken",
            format!(
                "a network named {} exists and does not belong to this cluster; it is left alone, and the cluster runs \
                 without role names. Remove it (`docker network rm {}`) or rename the cluster",
                wanted.name, wanted.name
            ),
        );
        return false;
    }
    let cause = "applications reach the cluster through it, by role names";
    plan.step(Action::engine(
        &wanted.name.clone(),
        EngineOp::CreateNetwork(wanted),
        cause,
    ));
    false
}

/// Gives every running member the names of its role.
pub fn keep(view: &View<'_>, plan: &mut Plan<Change>) {
    if !lay(view, plan) {
        return;
    }
    if is_somebody_ending(view) {
        return plan.again_in(Duration::from_millis(50));
    }
    for container in &view.observed.objects.containers {
        let Some(member) = container.labels.get(labels::MEMBER) else {
            continue;
        };
        if container.state != RunState::Running || ends_or_starts(plan, member) {
            continue;
        }
        if let Some((names, cause)) = wanted(view, member, container) {
            plan.chain(change(view, member, container, &names, &cause));
        }
    }
}

/// The names of the primary, for a member that is becoming it.
pub fn move_writes(view: &View<'_>, member: &str, cause: &str) -> Vec<Step> {
    match view.container(member) {
        Some(container) if stands(view) && !is_somebody_ending(view) => {
            change(view, member, container, &of_primary(view), cause)
        }
        Some(_) | None => Vec::new(),
    }
}

/// What has to be so before a member is started in a role: the names that it has would be its names again.
pub fn before_start(view: &View<'_>, member: &str, role: Role) -> Vec<Step> {
    if !stands(view) {
        return Vec::new();
    }
    let has = view.container(member).and_then(|container| names_of(view, container));
    match role {
        // It joins when it streams.
        Role::Replica | Role::Rewind if has.is_some() => vec![leave(view, member, "it gets its names when it streams")],
        // While it is initialised nobody needs the name, and joining afterwards happens beside the seeding of replicas.
        Role::Replica | Role::Rewind | Role::Bootstrap => Vec::new(),
        Role::Primary => {
            let wanted = of_primary(view);
            if has == Some(&wanted) {
                return Vec::new();
            }
            let other = has.map(|_| leave(view, member, "it has other names than the primary's"));
            let own = join(view, member, &wanted, "it is the primary");
            other.into_iter().chain([own]).collect()
        }
    }
}

/// Whether a server has shut down and the engine may still be taking its container off its networks. Nobody joins or
/// leaves meanwhile: the engine (20.10) locks up when the two cross.
fn is_somebody_ending(view: &View<'_>) -> bool {
    let mut containers = view.observed.objects.containers.iter();
    containers.any(|container| {
        let member = container.labels.get(labels::MEMBER);
        let server = member.and_then(|member| view.server(member));
        let is_shutting_down = matches!(server, Some(Server::Down(Down::ShuttingDown, _)));
        is_shutting_down && container.state == RunState::Running
    })
}

/// Whether the network is there and ours.
fn stands(view: &View<'_>) -> bool {
    let name = view.cluster.service_network_name();
    view.observed.objects.networks.iter().any(|n| n.name == name)
}

/// Whether the plan ends or starts the member: what it has then is decided before the start.
fn ends_or_starts(plan: &Plan<Change>, member: &str) -> bool {
    let mut steps = plan.actions().filter(|action| action.subject == member);
    steps.any(|action| {
        matches!(
            &action.op,
            Op::Engine(EngineOp::Start(_) | EngineOp::Stop { .. } | EngineOp::RemoveContainer(_))
        )
    })
}

/// The names that a running member shall have, and why; `None` leaves it as it is.
fn wanted(view: &View<'_>, member: &str, container: &ContainerObserved) -> Option<(BTreeSet<String>, String)> {
    let nothing = |cause: String| Some((BTreeSet::new(), cause));
    if view.is_foreign(member) {
        return nothing("its data is another cluster's".to_owned());
    }
    let has = names_of(view, container);
    if view.primary() != Some(member) && history::diverged(view, member).is_some() {
        return nothing("it holds what the primary never had".to_owned());
    }
    if view.primary() == Some(member) {
        // A primary that does not answer keeps its names: nobody else has them, and it is being restarted.
        return view
            .primary_facts()
            .map(|_| (of_primary(view), "it is the primary".to_owned()));
    }
    let writes = view.cluster.route_name(WRITES);
    if has.is_some_and(|has| has.contains(&writes)) && !view.replica_is_ready(member) {
        return nothing(format!("{} is the primary", view.primary().unwrap_or("another member")));
    }
    let primary = view.primary_facts();
    match (view.server(member), primary) {
        (Some(Server::Up(facts)), _) if !facts.in_recovery => nothing("it is no replica".to_owned()),
        (Some(Server::Up(_)), None) | (None, _) => None,
        (Some(Server::Up(_)), Some(_)) if view.replica_is_ready(member) => {
            Some((of_replica(view), "it streams".to_owned()))
        }
        (Some(Server::Up(facts)), Some(primary)) => {
            // Without a primary nobody streams, and whoever comes back to one needs a moment.
            let served_secs = view.primary().and_then(|p| view.lasts(&observe::serves(p)));
            let silent_secs = view.lasts(&observe::not_streaming(member)).unwrap_or(0);
            let silent_secs = silent_secs.min(served_secs.unwrap_or(0));
            let lag = primary.lsn.bytes_past(facts.lsn);
            if silent_secs >= GRACE_SECS {
                nothing(format!("it has not streamed for {silent_secs} s"))
            } else if lag > view.cluster.max_lag_bytes.saturating_mul(LEAVES_AT_LAG) {
                nothing(format!("it is {lag} bytes behind"))
            } else {
                None
            }
        }
        (Some(Server::Down(..)), _) => {
            let silent_secs = view.silent_for(member).unwrap_or(0);
            if silent_secs < GRACE_SECS || is_only_slow(view, member) {
                None
            } else {
                nothing(format!("it has not answered for {silent_secs} s"))
            }
        }
    }
}

/// Whether a replica that does not answer the agent serves its clients all the same, as far as is known: the primary streams
/// to it; or that one does not answer either, and it is seen to move. Leaving would cut them off.
fn is_only_slow(view: &View<'_>, member: &str) -> bool {
    let is_dead = life::is_dead(view, member);
    match view.primary_facts() {
        Some(primary) => {
            let standby = primary.standbys.get(member);
            let lag = standby.map(|standby| primary.lsn.bytes_past(standby.replay_lsn));
            let limit = view.cluster.max_lag_bytes.saturating_mul(LEAVES_AT_LAG);
            let streams = standby.is_some_and(|standby| standby.state == "streaming");
            !is_dead && streams && lag.is_some_and(|lag| lag <= limit)
        }
        None => life::is_slow(view, member) || view.error(member).is_some(),
    }
}

/// The names that a container has on the service network; `None` when it is not attached.
fn names_of<'a>(view: &View<'_>, container: &'a ContainerObserved) -> Option<&'a BTreeSet<String>> {
    static NOTHING: BTreeSet<String> = BTreeSet::new();
    let network = view.cluster.service_network_name();
    let names = container.aliases.get(&network);
    names.or_else(|| container.networks.contains_key(&network).then_some(&NOTHING))
}

fn of_primary(view: &View<'_>) -> BTreeSet<String> {
    [WRITES, ANY].map(|route| view.cluster.route_name(route)).into()
}

fn of_replica(view: &View<'_>) -> BTreeSet<String> {
    [READS, ANY].map(|route| view.cluster.route_name(route)).into()
}

/// The steps from the names that a container has to those that it shall have; no names: it shall not be attached.
fn change(
    view: &View<'_>,
    member: &str,
    container: &ContainerObserved,
    names: &BTreeSet<String>,
    cause: &str,
) -> Vec<Step> {
    let has = names_of(view, container);
    let mut steps = Vec::new();
    if has == Some(names) && !names.is_empty() {
        return steps;
    }
    if has.is_some() {
        steps.push(leave(view, member, cause));
    }
    if !names.is_empty() {
        steps.push(join(view, member, names, cause));
    }
    steps
}

fn leave(view: &View<'_>, member: &str, cause: &str) -> Step {
    let disconnect = EngineOp::Disconnect {
        container: view.cluster.container_name(member),
        network: view.cluster.service_network_name(),
    };
    Action::engine(member, disconnect, cause)
}

fn join(view: &View<'_>, member: &str, names: &BTreeSet<String>, cause: &str) -> Step {
    let connect = EngineOp::Connect {
        container: view.cluster.container_name(member),
        network: view.cluster.service_network_name(),
        aliases: names.iter().cloned().collect(),
    };
    Action::engine(member, connect, cause)
}
