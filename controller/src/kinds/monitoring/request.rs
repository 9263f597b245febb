//! Answers what a command asks of a monitoring resource. Pure.

use super::desired;
use super::memory::Change;
use super::plan::View;
use crate::kinds::{Reply, Request};

/// Answers a request.
pub fn answer(view: &View<'_>, request: &Request) -> Reply<Change> {
    let members: Vec<String> = desired::pieces(view).into_iter().map(|piece| piece.member).collect();
    match request {
        Request::Restart { member: None } => {
            Reply::accepted("every container is restarted", vec![Change::Restart(members, view.now)])
        }
        Request::Restart { member: Some(member) } if members.contains(member) => Reply::accepted(
            format!("{member} is restarted"),
            vec![Change::Restart(vec![member.clone()], view.now)],
        ),
        Request::Restart { member: Some(member) } => Reply::refused(format!(
            "{member} is not a member; the members are {}",
            members.join(", ")
        )),
        Request::Promote { .. } => Reply::refused("it has no primary; name a member of a database"),
        Request::Reseed { .. } => Reply::refused("nothing of it is seeded; name a replica of a database"),
        Request::RemoveVolume { .. } => Reply::refused("it has no volumes that it does not use"),
    }
}
