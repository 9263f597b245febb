//! Who has a volume mounted. The engine mounts one as often as it is asked to, and two servers on one data directory
//! destroy it: so this is looked at before a container is made or started. Pure.

use serde::{Deserialize, Serialize};

/// The states, in the engine's words, of a container whose processes may touch what it has mounted. In all others
/// (created, exited, dead) there is no process.
pub const LIVING: [&str; 4] = ["running", "paused", "restarting", "removing"];

/// A container that has a volume mounted and whose processes may touch it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The volume.
    pub volume: String,
    /// The engine's id of the container.
    pub id: String,
    /// Its name.
    pub container: String,
    /// Its image.
    pub image: String,
    /// What it is doing, in the engine's word: one of [`LIVING`].
    pub state: String,
    /// Whether it may write to the volume. One that may not runs no server on it.
    pub writes: bool,
    /// The directory of the host that it has mounted in place of the volume; none where it mounts the volume by name.
    pub through: Option<String>,
}

impl Holder {
    /// Who it is, and what it has mounted.
    pub fn told(&self) -> String {
        let Holder {
            container,
            image,
            state,
            volume,
            ..
        } = self;
        match &self.through {
            None => format!("container {container} (image {image}, {state}) has volume {volume} mounted"),
            Some(directory) => format!(
                "container {container} (image {image}, {state}) has {directory} mounted, and with it volume {volume}"
            ),
        }
    }

    /// The command that makes it let go.
    pub fn way_out(&self) -> String {
        let name = &self.container;
        match self.state.as_str() {
            "paused" => format!("`docker unpause {name} && docker stop {name}`"),
            _ => format!("`docker stop {name}`"),
        }
    }

    /// Why no container is started on the volume while this one has it, and what to do about it.
    pub fn obstacle(&self) -> String {
        format!(
            "{}. Two servers on one volume destroy it, so nothing is started: run {}, and the agent goes on by itself. To look \
             into a volume beside its server, mount it with `:ro`",
            self.told(),
            self.way_out()
        )
    }

    /// Why the volume is not removed while this one has it, and what to do about it.
    pub fn claim(&self) -> String {
        let (told, way) = (self.told(), self.way_out());
        format!("{told}, so the volume is not removed: run {way}, and the agent goes on by itself")
    }
}

/// The container that stands in the way of a process in container `own`, given by name or id, that is to write to a volume.
pub fn in_the_way<'h>(holders: &'h [Holder], volume: &str, own: &str) -> Option<&'h Holder> {
    others(holders, volume, own).find(|holder| holder.writes)
}

/// The container, if only to read it, that still has a volume that is to be destroyed.
pub fn still_there<'h>(holders: &'h [Holder], volume: &str) -> Option<&'h Holder> {
    others(holders, volume, "").next()
}

fn others<'h>(holders: &'h [Holder], volume: &str, own: &str) -> impl Iterator<Item = &'h Holder> {
    let of_volume = holders.iter().filter(move |holder| holder.volume == volume);
    of_volume.filter(move |holder| holder.container != own && holder.id != own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(container: &str, state: &str, writes: bool) -> Holder {
        Holder {
            volume: "v".to_owned(),
            id: format!("id-{container}"),
            container: container.to_owned(),
            image: "postgres:17".to_owned(),
            state: state.to_owned(),
            writes,
            through: None,
        }
    }

    #[test]
    fn neither_a_reader_nor_oneself_is_in_the_way() {
        let all = [holder("own", "running", true), holder("backup", "running", false)];
        assert_eq!(in_the_way(&all, "v", "own"), None);
        assert_eq!(in_the_way(&all, "v", "id-own"), None);
        assert_eq!(in_the_way(&all, "v", "other"), Some(&all[0]));
        assert_eq!(in_the_way(&all, "w", "other"), None);
        assert_eq!(still_there(&all[1..], "v"), Some(&all[1]));
    }

    #[test]
    fn it_is_said_what_to_do_about_one_that_is_frozen() {
        let paused = Holder {
            through: Some("/var/lib/docker/volumes/v/_data".to_owned()),
            ..holder("x", "paused", true)
        };
        insta::assert_snapshot!(paused.obstacle(), @"container x (image postgres:17, paused) has /var/lib/docker/volumes/v/_data mounted, and with it volume v. Two servers on one volume destroy it, so nothing is started: run `docker unpause x && docker stop x`, and the agent goes on by itself. To look into a volume beside its server, mount it with `:ro`");
    }
}
