//! What has to stand before any member can: the image, the network, free names and ports, a single primary.

use super::super::desired;
use super::super::memory::Change;
use super::super::spec::PullPolicy;
use super::super::versions;
use super::routes;
use super::view::View;
use crate::converge::{self, Claim};
use crate::model::container::ImageFacts;
use crate::model::labels;
use crate::model::plan::Plan;

/// What users rename when a name is taken.
const OWNER: &str = "cluster";

/// Makes the cluster's own network. `false` when nothing else can be planned before it exists.
pub fn lay(view: &View<'_>, plan: &mut Plan<Change>) -> bool {
    let stands = converge::network(&view.observed.objects, desired::network(view.cluster), OWNER, plan);
    if !stands && plan.notes.is_empty() {
        routes::lay(view, plan);
    }
    stands
}

/// The image, or the step or note that leads to it, said once however many members need it.
pub fn image<'a>(view: &View<'a>, plan: &mut Plan<Change>) -> Option<&'a ImageFacts> {
    let spec = &view.cluster.spec;
    let may_pull = spec.pull_policy != PullPolicy::Never;
    converge::image(
        &view.observed.objects,
        &spec.image,
        (&view.cluster.name, may_pull),
        plan,
    )
}

/// Whether a container for `member` can be made: its name, its volume's name and its port are free.
pub fn is_free(view: &View<'_>, member: &str, plan: &mut Plan<Change>) -> bool {
    let claim = Claim {
        subject: member,
        owner: OWNER,
        container: &view.cluster.container_name(member),
        volume: Some(&view.volume_name(member)),
        port: view.cluster.port(member).map(|port| (port, "spec.ports")),
    };
    converge::is_free(&view.observed.objects, claim, plan)
}

/// Whether the member's existing volume can be used with the image: never another major version.
pub fn fits_volume(view: &View<'_>, member: &str, image: &ImageFacts, plan: &mut Plan<Change>) -> bool {
    let major = image.env.get("PG_MAJOR");
    let Some(volume) = view.volume(member) else {
        return may_begin(view, member, major, plan);
    };
    let Some(made_by) = volume.labels.get(labels::POSTGRES_MAJOR) else {
        return true;
    };
    let is = match major {
        Some(major) if major == made_by => return true,
        Some(major) => format!("is {major}, which cannot read it"),
        None => "does not say which it is (official images set PG_MAJOR)".to_owned(),
    };
    plan.block(
        member,
        "MajorVersion",
        format!(
            "its volume was initialised by PostgreSQL {made_by} and image {} {is}. \
             Put the old image back; to move, start a second cluster with the new image and load a dump into it",
            view.cluster.spec.image
        ),
    );
    false
}

/// Whether a member without a volume can get one. A new cluster needs a version that is supported; what runs already is
/// kept as it is.
fn may_begin(view: &View<'_>, member: &str, major: Option<&String>, plan: &mut Plan<Change>) -> bool {
    let is_new = view.memory.system_identifier.is_none() && view.observed.objects.volumes.is_empty();
    let why = versions::unsupported(&view.cluster.spec.image, major.map(String::as_str));
    let Some(why) = why.filter(|_| is_new) else {
        return true;
    };
    plan.block(member, "UnsupportedVersion", why);
    false
}

/// Another member than the recorded primary accepts writes, and the record does not settle it: neither is touched. Of one
/// whose volume was given up it does: that was decided while the primary answered.
pub fn two_primaries(view: &View<'_>, primary: &str, plan: &mut Plan<Change>) -> bool {
    let writable: Vec<&String> = view
        .observed
        .members
        .keys()
        .filter(|m| view.facts(m).is_some_and(|f| !f.in_recovery))
        .filter(|m| view.container(m).is_none_or(|c| view.has_current_volume(m, c)))
        .collect();
    let recorded = writable.iter().any(|m| m.as_str() == primary);
    if writable.is_empty() || recorded {
        return false;
    }
    let others: Vec<&str> = writable.iter().map(|m| m.as_str()).collect();
    let ways = others.iter().map(|other| {
        let container = view.cluster.container_name(other);
        format!(
            "`reconciler promote {other} --force` makes {other} the primary as it is; `docker stop {container}` stops it, and \
             {primary} goes on"
        )
    });
    plan.confirm(
        &view.cluster.name,
        format!(
            "{} accepts writes but {primary} is the recorded primary, which does not answer as one; nothing is touched. \
             To go on: {}",
            others.join(", "),
            ways.collect::<Vec<_>>().join("; or ")
        ),
    );
    true
}
