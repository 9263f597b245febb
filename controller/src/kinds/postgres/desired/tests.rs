//! What takes part in a member's hash, and what its files hold.

use super::{FileInputs, Role, WATCHED, container, data_place, delivery, files, rewinding, volume, watched_hashes};
use crate::kinds::postgres::plan::tests::world::{World, image};
use crate::model::container::FileSpec;
use crate::model::labels;

fn of(world: &World, role: Role) -> Vec<FileSpec> {
    let settings = world.cluster.settings();
    let inputs = FileInputs {
        member: "replica-1",
        role,
        primary: "master",
        settings: &settings,
        sync_names: None,
        suspicion: None,
        tablespaces: Vec::new(),
        standby_slots: None,
        floor: std::collections::BTreeMap::new(),
    };
    files(&world.cluster, &inputs)
}

fn text(files: &[FileSpec], name: &str) -> String {
    let file = files.iter().find(|file| file.name == name);
    file.map(|file| file.text.clone()).unwrap_or_default()
}

#[test]
fn equal_wishes_have_equal_hashes_and_limits_take_no_part() {
    let hash = |world: &World| container(&world.cluster, "master", 1, &image()).hash();
    let world = World::new(1);
    assert_eq!(
        hash(&world),
        hash(&World::new(3)),
        "the number of replicas is no matter of one container"
    );
    let limited = world.clone().edit(|spec| spec.resources.cpu = Some("2".to_owned()));
    assert_eq!(hash(&world), hash(&limited));
    let ports = world.clone().edit(|spec| spec.ports.base = Some(5432));
    assert_ne!(hash(&world), hash(&ports));
    assert_ne!(hash(&world), container(&world.cluster, "master", 2, &image()).hash());
}

/// Containers that an earlier version made carry these. A build that says another hash for one of them recreates every
/// database at its first start: a new field of the spec has to be left out of its JSON while it has its default.
#[test]
fn the_hashes_of_containers_that_are_out_there_stay_as_they_are() {
    let world = World::new(1);
    let published = world.clone().edit(|spec| {
        spec.ports.base = Some(5432);
        spec.labels.insert("team".to_owned(), "db".to_owned());
    });
    let plain = container(&world.cluster, "master", 1, &image());
    let reseeded = container(&world.cluster, "replica-1", 2, &image());
    let hashes = [
        ("plain", plain.hash()),
        (
            "published",
            container(&published.cluster, "replica-1", 1, &image()).hash(),
        ),
        ("reseeded", reseeded.hash()),
        ("rewinding", rewinding(reseeded, "pg-replica-1-g1").hash()),
    ];
    let expected = [
        ("plain", "841b35896252"),
        ("published", "9489fbf517e7"),
        ("reseeded", "102a83be2656"),
        ("rewinding", "883c6cb7a494"),
    ];
    assert_eq!(
        hashes.map(|(name, hash)| format!("{name} {hash}")),
        expected.map(|(name, hash)| format!("{name} {hash}"))
    );
}

#[test]
fn a_promotion_does_not_change_a_container() {
    let before = World::new(1).healthy_with("master");
    let after = World::new(1).healthy_with("replica-1");
    let spec = |world: &World| container(&world.cluster, "replica-1", 1, &image());
    assert_eq!(spec(&before), spec(&after));
}

#[test]
fn the_data_lies_one_below_what_the_image_declares() {
    let mut newer = image();
    assert_eq!(data_place(&newer).pgdata, "/var/lib/postgresql/data/pgdata");
    newer.volumes = vec!["/x".to_owned(), "/var/lib/postgresql".to_owned()];
    assert_eq!(data_place(&newer).pgdata, "/var/lib/postgresql/pgdata");
    newer.volumes.clear();
    assert_eq!(data_place(&newer).mount, "/var/lib/postgresql/data");
}

#[test]
fn a_volume_says_whose_it_is_and_who_made_it() {
    let made = volume(&World::new(1).cluster, "replica-1", 3, &image());
    assert_eq!(made.name, "pg-replica-1-g3");
    assert_eq!(made.labels[labels::GENERATION], "3");
    assert_eq!(made.labels[labels::POSTGRES_MAJOR], "17");
    assert_eq!(made.labels[labels::UID], "uid-1");
}

#[test]
fn only_a_replica_follows_and_only_the_first_start_has_the_superusers_password() {
    let world = World::new(1);
    let replica = of(&world, Role::Replica);
    assert_eq!(text(&replica, "role"), "replica\n");
    assert_eq!(text(&replica, "slot"), "replica_1");
    assert!(text(&replica, "postgresql.conf").contains("primary_conninfo = 'host=pg-master "));
    let primary = of(&world, Role::Primary);
    assert!(!text(&primary, "postgresql.conf").contains("primary_conninfo"));
    let has_password = |files: &[FileSpec]| files.iter().any(|file| file.name == "superuser.password");
    assert!(!has_password(&replica) && !has_password(&primary));
    assert!(has_password(&of(&world, Role::Bootstrap)));
}

#[test]
fn files_with_secrets_are_private_and_hold_only_tokens() {
    for file in of(&World::new(1), Role::Bootstrap)
        .iter()
        .filter(|file| !file.secrets.is_empty())
    {
        assert_eq!(file.mode, 0o600, "{}", file.name);
        assert!(
            file.secrets.iter().all(|secret| file.text.contains(&secret.token)),
            "{}",
            file.name
        );
        assert!(!WATCHED.contains(&file.name.as_str()), "{} is not read back", file.name);
    }
}

#[test]
fn the_files_that_are_read_back_are_all_delivered() {
    let world = World::new(1);
    let delivered = delivery(&world.cluster, "replica-1", of(&world, Role::Replica));
    assert_eq!(
        (delivered.container.as_str(), delivered.directory.as_str()),
        ("pg-replica-1", "/etc/reconciler")
    );
    let hashes = watched_hashes(&delivered.files);
    assert!(WATCHED.iter().all(|name| hashes.contains_key(*name)));
}
