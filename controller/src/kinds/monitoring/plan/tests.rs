//! The planner's rules, each as the plan that it prints.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod containers;
mod content;
mod files;

use std::collections::BTreeMap;

use serde_json::json;

use super::super::desired;
use super::super::memory::{Change, Memory};
use super::super::monitor::{GRAFANA, Monitor};
use super::super::observe::{ClusterSeen, Observed};
use super::super::status::status;
use super::{View, on_failure, plan};
use crate::kinds::peers::{Face, FaceMember};
use crate::model::container::{ContainerObserved, Health, ImageFacts, Limits, NamedObserved, RunState};
use crate::model::labels;
use crate::model::plan::{Op, Plan, SqlTarget};
use crate::model::postgres::{RoleAttributes, RoleFacts};
use crate::model::{SecretRef, Seen};

const NOW: i64 = 1_000_000;

struct World {
    monitor: Monitor,
    observed: Observed,
    memory: Memory,
}

fn member(name: &str, role: &str) -> FaceMember {
    FaceMember {
        name: name.to_owned(),
        container: format!("shop-{name}"),
        port: 5432,
        role: role.to_owned(),
        is_first: name == "master",
    }
}

impl World {
    /// A cluster with one replica, which has the role that it shall have; of the monitoring there is the network.
    fn new() -> World {
        let spec = serde_json::from_value(json!({})).unwrap();
        let writer = SqlTarget {
            container: "c".to_owned(),
            address: "10.0.0.2".to_owned(),
            port: 5432,
            password: SecretRef::Env("P".to_owned()),
        };
        let role = RoleFacts {
            attributes: RoleAttributes {
                login: true,
                connection_limit: -1,
                ..RoleAttributes::default()
            },
            password_fits: Some(true),
            member_of: vec!["pg_monitor".to_owned()],
            has_expired: false,
        };
        let face = Face {
            network: "shop-net".to_owned(),
            members: vec![member("master", "primary"), member("replica-1", "replica")],
            writer: Some(writer),
            ..Face::default()
        };
        let cluster = ClusterSeen {
            face: Seen::Known(face),
            is_leaving: false,
            role: Seen::Known(role),
        };
        let mut world = World {
            monitor: Monitor::new(("mon", "uid-1", 1), spec, BTreeMap::new()).unwrap(),
            observed: Observed {
                clusters: BTreeMap::from([("shop".to_owned(), cluster)]),
                ..Observed::default()
            },
            memory: Memory::default(),
        };
        world.observed.objects.holders = Seen::Known(Vec::new());
        world.observed.objects.networks = vec![NamedObserved {
            name: "mon-net".to_owned(),
            ..NamedObserved::default()
        }];
        for image in desired::images(&world.monitor) {
            let facts = ImageFacts {
                id: image.clone(),
                env: BTreeMap::new(),
                volumes: Vec::new(),
            };
            world.observed.objects.images.insert(image, Seen::Known(facts));
        }
        world
    }

    /// All is as it should be.
    fn healthy() -> World {
        let mut world = World::new();
        world.remember();
        world.settle();
        world
    }

    fn view(&self) -> View<'_> {
        View {
            monitor: &self.monitor,
            observed: &self.observed,
            memory: &self.memory,
            now: NOW,
        }
    }

    fn next(&self) -> Plan<Change> {
        plan(&self.view())
    }

    /// Applies what is to be remembered.
    fn remember(&mut self) {
        for action in self.next().actions() {
            if let Op::Remember(change) = &action.op {
                self.memory.apply(change);
            }
        }
    }

    /// Every container runs with the files that it shall have, and Prometheus has read them.
    fn settle(&mut self) {
        let pieces = desired::pieces(&self.view());
        let objects = &mut self.observed.objects;
        objects.containers.clear();
        for piece in pieces {
            let spec = &piece.container;
            let mut found = spec.labels.clone();
            found.insert(labels::SPEC_HASH.to_owned(), spec.hash());
            let networks = std::iter::once(&spec.network).chain(&piece.networks);
            objects.containers.push(ContainerObserved {
                id: format!("id-{}", spec.name),
                name: spec.name.clone(),
                labels: found,
                state: RunState::Running,
                exit_code: 0,
                error: String::new(),
                oom_killed: false,
                started_at: NOW - 1000,
                finished_at: 0,
                health: Health::Pending,
                networks: networks
                    .map(|network| (network.clone(), "10.0.0.9".to_owned()))
                    .collect(),
                aliases: BTreeMap::new(),
                volumes: Vec::new(),
                limits: Limits::default(),
            });
            let files = piece.delivery.files.into_iter();
            let files = files.map(|file| (file.name, file.text.into_bytes())).collect();
            self.observed.files.insert(piece.member, Seen::Known(files));
        }
        self.observed.running = Seen::Known(desired::mark(&self.view()));
    }

    fn container(&mut self, name: &str) -> &mut ContainerObserved {
        let containers = self.observed.objects.containers.iter_mut();
        containers.into_iter().find(|container| container.name == name).unwrap()
    }

    fn cluster(&mut self) -> &mut ClusterSeen {
        self.observed.clusters.get_mut("shop").unwrap()
    }

    fn face(&mut self) -> &mut Face {
        match &mut self.cluster().face {
            Seen::Known(face) => face,
            Seen::Absent | Seen::Unknown(_) => panic!("it has one"),
        }
    }
}

#[test]
fn exporters_get_the_classic_ports_before_they_are_made() {
    let world = World::new();
    let printed = world.next().to_string();
    assert!(
        printed.contains("exporter-shop-master: remember that exporter-shop-master has port 9190"),
        "{printed}"
    );
    assert!(printed.contains("exporter-shop-replica-1 has port 9188"), "{printed}");
    assert!(!printed.contains("create container mon-exporter"), "{printed}");
    assert!(
        printed.contains("prometheus: create volume mon-prometheus-data, because it is missing"),
        "{printed}"
    );
}

#[test]
fn a_second_cluster_gets_what_is_left_and_nobody_loses_his_port() {
    let mut world = World::healthy();
    let mut other = world.observed.clusters["shop"].clone();
    if let Seen::Known(face) = &mut other.face {
        face.members = vec![member("master", "primary"), member("replica-4", "replica")];
    }
    world.observed.clusters.insert("a-first".to_owned(), other);
    world.remember();
    assert_eq!(world.memory.ports["exporter-shop-master"], 9190);
    assert_eq!(world.memory.ports["exporter-a-first-master"], 9192);
    assert_eq!(world.memory.ports["exporter-a-first-replica-4"], 9191);
}

#[test]
fn when_all_is_as_it_should_be_nothing_is_done() {
    assert_eq!(World::healthy().next().to_string(), "nothing to do\n");
}

#[test]
fn a_new_role_is_a_new_list_of_targets_and_nothing_else() {
    let mut world = World::healthy();
    world.face().members = vec![member("master", "replica"), member("replica-1", "primary")];
    insta::assert_snapshot!(
        world.next(),
        @"prometheus: deliver targets/postgres.yml, because targets/postgres.yml is to say something else"
    );
}

#[test]
fn what_is_not_known_yet_loses_nothing() {
    let mut world = World::healthy();
    world.cluster().face = Seen::Unknown("not looked at".to_owned());
    assert_eq!(world.next().to_string(), "nothing to do\n");
    world.observed.clusters.clear();
    let printed = world.next().to_string();
    assert!(
        printed.contains("exporter-shop-master: remove container, because it is not wanted any more"),
        "{printed}"
    );
}

#[test]
fn a_cluster_that_is_deleted_is_let_go() {
    let mut world = World::healthy();
    world.cluster().is_leaving = true;
    let printed = world.next().to_string();
    assert!(
        printed.contains("exporter-shop-replica-1: stop container (10 s grace)"),
        "{printed}"
    );
}

#[test]
fn a_rotated_password_is_set_back_and_exporters_read_it_again() {
    let mut world = World::healthy();
    if let Seen::Known(role) = &mut world.cluster().role {
        role.password_fits = Some(false);
    }
    insta::assert_snapshot!(world.next(), @r"
    shop: remember that exporter-shop-master, exporter-shop-replica-1 shall restart, because the password of their role is set anew
    shop: alter role reconciler_monitor, because its password is not the wanted one
    ");
    // Who cannot be asked is not told anything.
    world.cluster().role = Seen::Unknown("no answer".to_owned());
    assert_eq!(world.next().to_string(), "nothing to do\n");
}

#[test]
fn a_password_for_grafana_is_made_as_long_as_nobody_can_have_one() {
    let mut world = World::healthy();
    assert!(world.view().is_grafana_new(), "it has no volume");
    // The agent was killed between its volume and its files.
    world.observed.objects.volumes.push(NamedObserved {
        name: world.monitor.volume_name(GRAFANA),
        ..NamedObserved::default()
    });
    assert!(!world.view().is_grafana_new(), "whether it has ever run is not known");
    let mut container = world.observed.objects.containers.first().cloned().unwrap();
    container.name = world.monitor.container_name(GRAFANA);
    container.state = RunState::Created;
    container.started_at = 0;
    world.observed.objects.containers.push(container.clone());
    assert!(world.view().is_grafana_new(), "it was made and never started");
    world.memory.grafana.folders.insert("a".to_owned(), "b".to_owned());
    assert!(!world.view().is_grafana_new(), "an earlier one has run on that volume");
    world.memory.grafana.folders.clear();
    world.container(&container.name).started_at = NOW;
    assert!(!world.view().is_grafana_new());
}
