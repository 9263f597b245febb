//! Where the members' tablespaces lie. A server says it; of one that does not answer, what it said before, or the links in its
//! data directory: without a server nobody changes them.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::super::cluster::Cluster;
use super::super::desired;
use super::{MemberSeen, Observed};
use crate::host::Reads;
use crate::model::Seen;
use crate::model::container::Objects;

/// Adds to each member that was seen where its tablespaces lie.
pub(super) async fn of_all<R: Reads>(
    host: &R,
    cluster: &Cluster,
    (objects, before): (&Objects, &Observed),
    members: Vec<(String, MemberSeen)>,
) -> BTreeMap<String, MemberSeen> {
    let looks = members.into_iter().map(async |(member, mut seen)| {
        let name = cluster.container_name(&member);
        let container = objects.container(&name);
        let same =
            container.is_some() && container.map(|one| &one.id) == before.objects.container(&name).map(|one| &one.id);
        let known = before
            .members
            .get(&member)
            .filter(|_| same)
            .map(|seen| &seen.tablespaces);
        seen.tablespaces = match (seen.server.facts(), known, container) {
            (Some(facts), _, _) => Seen::Known(facts.tablespaces.clone()),
            (None, Some(Seen::Known(known)), _) => Seen::Known(known.clone()),
            (None, _, Some(container)) => links(host, cluster, objects, &container.id).await,
            (None, _, None) => Seen::Absent,
        };
        (member, seen)
    });
    join_all(looks).await.into_iter().collect()
}

async fn links<R: Reads>(
    host: &R,
    cluster: &Cluster,
    objects: &Objects,
    container: &str,
) -> Seen<BTreeMap<String, String>> {
    let image = objects.image(&cluster.spec.image).known();
    let places = match image {
        Some(image) => vec![desired::data_place(image).pgdata],
        None => desired::USUAL_MOUNTS.map(|mount| format!("{mount}/pgdata")).to_vec(),
    };
    let mut seen = Seen::Absent;
    for place in places {
        seen = host.links(container, &format!("{place}/pg_tblspc")).await;
        if !seen.is_absent() {
            break;
        }
    }
    seen
}
