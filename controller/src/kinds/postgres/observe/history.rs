//! How far the shared log is known to have come, whether the log of a stopped primary has come there too, and whether
//! positions that replicas have had are ends of records in the primary's log.

use std::collections::BTreeMap;

use super::{MemberSeen, Observed};
use crate::host::Reads;
use crate::kinds::postgres::cluster::Cluster;
use crate::kinds::postgres::desired;
use crate::kinds::postgres::memory::Memory;
use crate::model::container::{ContainerObserved, RunState};
use crate::model::postgres::{Control, ControlState, PgFacts};
use crate::model::wal::{LogQuestion, Mark, Place, Proof};
use crate::model::{Lsn, Seen};

/// What the log on the disk of the recorded primary, which does not run, says of the newest place that anybody knows of.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// That place.
    pub known: Mark,
    /// Who knows of it.
    pub by: Source,
    /// What the log says. Absent when there is no log that a server could start with.
    pub proof: Seen<Proof>,
    /// The container and its control file that this was found of.
    of: (String, Control),
}

/// Who knows of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The agent saw it at this time, in seconds since the epoch.
    Seen(i64),
    /// A replica has all up to there.
    Replica(String),
}

impl Standing {
    /// What was found of a container that does not run.
    pub fn new(known: Mark, by: Source, proof: Seen<Proof>, of: (String, Control)) -> Self {
        Standing { known, by, proof, of }
    }
}

/// Where the log of the recorded primary stands, if it serves.
pub fn position(observed: &Observed, memory: &Memory) -> Option<(u32, Lsn)> {
    let facts = observed.members.get(memory.primary.as_ref()?)?.server.facts()?;
    let is_ours = memory.system_identifier == Some(facts.system_identifier);
    (is_ours && !facts.in_recovery).then_some((facts.timeline, facts.lsn))
}

/// How far each standby's log reached.
pub fn reached(observed: &Observed) -> BTreeMap<String, (u32, Lsn)> {
    let standbys = observed.members.iter().filter_map(|(member, seen)| {
        let facts = seen.server.facts().filter(|facts| facts.in_recovery)?;
        Some((member.clone(), facts.reach()))
    });
    standbys.collect()
}

/// The mark of the recorded primary, if it serves, with the time.
pub fn mark(observed: &Observed, memory: &Memory, before: &Observed, now: i64) -> Option<(String, Mark, i64)> {
    let primary = memory.primary.as_ref()?;
    let kept = before.mark.clone().filter(|(member, ..)| member == primary);
    let facts = serving(observed, memory);
    let seen = facts.and_then(|facts| Some((primary.clone(), facts.mark.clone()?, now)));
    seen.or(kept)
}

/// The facts of the recorded primary, if it serves.
fn serving<'o>(observed: &'o Observed, memory: &Memory) -> Option<&'o PgFacts> {
    let facts = observed.members.get(memory.primary.as_ref()?)?.server.facts()?;
    let is_ours = memory.system_identifier == Some(facts.system_identifier);
    (is_ours && !facts.in_recovery).then_some(facts)
}

/// Looks at the log of the recorded primary, if it does not run.
pub async fn stand<R: Reads>(
    host: &R,
    cluster: &Cluster,
    memory: &Memory,
    before: &Observed,
    observed: &Observed,
) -> Option<Standing> {
    let primary = memory.primary.as_ref().filter(|_| memory.promotion.is_none())?;
    let container = container(cluster, observed, primary)?;
    if !matches!(container.state, RunState::Exited | RunState::Created) {
        return None;
    }
    let control = *observed.members.get(primary)?.control.known()?;
    let (known, by) = newest(cluster, memory, before, observed, &control)?;
    let of = (container.id.clone(), control);
    if let Some(same) = &before.standing
        && (&same.known, &same.of) == (&known, &of)
        && same.proof.unknown().is_none()
    {
        return before.standing.clone();
    }
    let question = LogQuestion {
        pgdata: pgdata(host, cluster, observed, container).await,
        checkpoint: Place::new(control.timeline, control.checkpoint),
        segment_bytes: control.segment_bytes,
        mark: known.clone(),
    };
    let proof = host.log(&container.id, &question).await;
    Some(Standing { known, by, proof, of })
}

fn container<'o>(cluster: &Cluster, observed: &'o Observed, member: &str) -> Option<&'o ContainerObserved> {
    let name = cluster.container_name(member);
    observed.objects.containers.iter().find(|one| one.name == name)
}

/// Where the data lie; the image that the manifest names may be missing while the container of another one is there.
async fn pgdata<R: Reads>(host: &R, cluster: &Cluster, observed: &Observed, container: &ContainerObserved) -> String {
    if let Some(image) = observed.objects.image(&cluster.spec.image).known() {
        return desired::data_place(image).pgdata;
    }
    for mount in desired::USUAL_MOUNTS {
        let pgdata = format!("{mount}/pgdata");
        let control = format!("{pgdata}/global/pg_control");
        if host.read_file(&container.id, &control).await.known().is_some() {
            return pgdata;
        }
    }
    format!("{}/pgdata", desired::USUAL_MOUNTS[0])
}

/// The newest place of the primary's log that is known of, unless somebody gave it up.
fn newest(
    cluster: &Cluster,
    memory: &Memory,
    before: &Observed,
    observed: &Observed,
    control: &Control,
) -> Option<(Mark, Source)> {
    let primary = memory.primary.as_ref()?;
    let noted = memory.history.noted.as_ref();
    let noted_timeline = noted.map(|noted| noted.mark.place.timeline);
    let noted = noted.map(|noted| (noted.mark.clone(), Source::Seen(noted.at)));
    let seen = before.mark.as_ref().filter(|(member, ..)| member == primary);
    let seen = seen.map(|(_, mark, at)| (mark.clone(), Source::Seen(*at)));
    // What an earlier look found of it while it was down.
    let found = before
        .standing
        .as_ref()
        .map(|same| (same.known.clone(), same.by.clone()));
    let stopped = before.members.get(primary).and_then(|seen| seen.control.known());
    let stopped = stopped.filter(|earlier| earlier.system_identifier == control.system_identifier);
    let stopped = stopped.map(|earlier| {
        let place = Place::new(earlier.timeline, earlier.checkpoint);
        (bare(place), Source::Seen(earlier.written_at))
    });
    let others = observed.members.iter().filter(|(member, _)| *member != primary);
    let replicas = others.filter_map(|(member, seen)| {
        let place = had(cluster, memory, observed, member, seen)?;
        // Without a record nobody knows which timeline is the primary's.
        let is_shared = place.timeline == control.timeline
            || noted_timeline.is_none_or(|noted| place.timeline == noted) && place.timeline > control.timeline;
        (is_shared && identity(seen) == Some(control.system_identifier))
            .then(|| (bare(place), Source::Replica(member.clone())))
    });
    let known = [noted, seen, found, stopped].into_iter().flatten().chain(replicas);
    // Of equal places that with a hash says more.
    let (mark, by) = known.max_by_key(|(mark, _)| (mark.place, !mark.hash.is_empty()))?;
    (memory.history.given_up < Some(mark.place)).then_some((mark, by))
}

fn bare(place: Place) -> Mark {
    Mark {
        place,
        hash: String::new(),
    }
}

fn identity(seen: &MemberSeen) -> Option<u64> {
    let answered = seen.server.facts().map(|facts| facts.system_identifier);
    answered.or_else(|| seen.control.known().map(|control| control.system_identifier))
}

/// Up to where a standby has the shared log, as far as that is known of one that belongs to it.
fn had(cluster: &Cluster, memory: &Memory, observed: &Observed, member: &str, seen: &MemberSeen) -> Option<Place> {
    let volume = cluster.volume_name(member, memory.generation(member));
    let container = container(cluster, observed, member)?;
    if !container.volumes.contains(&volume) || memory.diverged(member).is_some() {
        return None;
    }
    if let Some(facts) = seen.server.facts() {
        let (timeline, lsn) = facts.reach();
        return facts.in_recovery.then_some(Place::new(timeline, lsn));
    }
    let control = seen.control.known().filter(|control| control.state.is_standby())?;
    Some(Place::new(
        control.timeline,
        control.checkpoint.max(control.min_recovery),
    ))
}

/// Places at which a record of the shared log ended when a replica had it, as the last look found them, by member.
fn ends(cluster: &Cluster, memory: &Memory, observed: &Observed) -> BTreeMap<String, Vec<Place>> {
    let primary = memory.primary.as_deref();
    let others = observed
        .members
        .iter()
        .filter(|(member, _)| Some(member.as_str()) != primary);
    let known = others.filter_map(|(member, seen)| {
        had(cluster, memory, observed, member, seen)?;
        let mut places = Vec::new();
        if let Some(facts) = seen.server.facts() {
            places.push(Place::new(facts.timeline, facts.min_recovery_lsn));
            if !facts.receiver_streaming {
                places.push(Place::new(facts.timeline, facts.lsn));
            }
        } else if let Some(control) = seen.control.known() {
            places.push(Place::new(control.timeline, control.checkpoint));
            if control.state == ControlState::ShutDownInRecovery {
                places.push(Place::new(control.timeline, control.min_recovery));
            }
        }
        places.retain(|place| place.lsn > Lsn::default());
        Some((member.clone(), places))
    });
    known.collect()
}

/// The places that the primary is asked about: those of which it was not told yet.
pub fn asked(cluster: &Cluster, memory: &Memory, before: &Observed) -> Vec<Place> {
    let places = ends(cluster, memory, before).into_iter();
    let open = places.flat_map(|(member, places)| {
        let told = before.fits.get(&member);
        let is_open = move |place: &Place| !told.is_some_and(|told| told.contains_key(place));
        places.into_iter().filter(is_open)
    });
    let mut open: Vec<Place> = open.collect();
    open.sort_unstable();
    open.dedup();
    open
}

/// What the primary said of the places at which replicas' records ended. A primary that was started again since is asked
/// again.
pub fn fits(
    cluster: &Cluster,
    memory: &Memory,
    before: &Observed,
    observed: &Observed,
) -> BTreeMap<String, BTreeMap<Place, bool>> {
    let Some(primary) = memory.primary.as_ref() else {
        return BTreeMap::new();
    };
    let life = |seen: &Observed| container(cluster, seen, primary).map(|one| (one.id.clone(), one.started_at));
    let is_same = life(before) == life(observed);
    let facts = serving(observed, memory);
    let asked = ends(cluster, memory, before).into_iter();
    let told = asked.map(|(member, places)| {
        let known = before.fits.get(&member).filter(|_| is_same);
        let of = |place: &Place| {
            let answer = facts
                .and_then(|facts| facts.boundaries.get(&place.to_string()))
                .copied();
            answer.or_else(|| known?.get(place).copied())
        };
        let told = places.into_iter().filter_map(|place| Some((place, of(&place)?)));
        (member, told.collect())
    });
    told.collect()
}
