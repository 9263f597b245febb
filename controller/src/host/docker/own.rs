//! Which container the agent itself runs in, so that it never stops or removes itself.

const ID_DIGITS: usize = 64;

/// The id of our own container, if there is one.
pub(super) fn container_id() -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    from_mounts(&mounts).or_else(|| from_cgroups(&groups))
}

/// The engine binds `/etc/hostname` and its like from a directory that is named by the id. Only the root of those
/// mounts counts: on a host, mount points of foreign containers carry ids too.
fn from_mounts(mountinfo: &str) -> Option<String> {
    mountinfo.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        if !matches!(point, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf") {
            return None;
        }
        let (_, rest) = root.split_once("/containers/")?;
        leading_id(rest)
    })
}

/// `…/docker/<id>` or `…/docker-<id>.scope`; on cgroup v2 with a private namespace it shows nothing.
fn from_cgroups(cgroups: &str) -> Option<String> {
    cgroups.lines().find_map(|line| {
        let after = line.rsplit_once("/docker/").or_else(|| line.rsplit_once("/docker-"))?;
        leading_id(after.1)
    })
}

fn leading_id(text: &str) -> Option<String> {
    let id: String = text.chars().take_while(char::is_ascii_hexdigit).collect();
    (id.len() == ID_DIGITS).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_id_is_read_from_the_mounts_that_the_engine_makes() {
        let id = "ab".repeat(32);
        let inside = format!(
            "22 1 0:5 / /proc rw - proc proc rw\n\
             703 690 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(from_mounts(&inside), Some(id));
    }

    #[test]
    fn a_host_that_shows_foreign_containers_is_no_container() {
        let id = "cd".repeat(32);
        let host = format!("99 1 0:9 / /var/lib/docker/containers/{id}/mounts/shm rw - tmpfs shm rw\n");
        assert_eq!(from_mounts(&host), None);
        assert_eq!(from_cgroups("0::/user.slice/docker-compose.scope\n"), None);
    }

    #[test]
    fn our_id_is_read_from_both_kinds_of_cgroup_names() {
        let id = "ef".repeat(32);
        assert_eq!(from_cgroups(&format!("3:cpu:/docker/{id}\n")), Some(id.clone()));
        assert_eq!(from_cgroups(&format!("0::/system.slice/docker-{id}.scope\n")), Some(id));
    }
}
