//! The primary's role moves: planned, and by force. A replica loses its data directory.

use super::host::Side;
use super::stage::Stage;
use crate::world::{World, docker};

fn switchover(side: Side) {
    let mut stage = Stage::ready(World::new("move", 2));
    stage.sweep(
        side,
        |_| (),
        |stage| {
            let (_, replicas) = stage.roles();
            stage.promote(&replicas[0], false);
        },
    );
}

#[test]
fn killed_before_each_call_of_a_switchover() {
    switchover(Side::Before);
}

#[test]
fn killed_after_each_call_of_a_switchover() {
    switchover(Side::After);
}

/// The primary dies while nobody looks after it, and a replica takes over.
fn failover(side: Side) {
    let mut stage = Stage::ready(World::new("force", 2));
    stage.keeps_old_volumes = true;
    let die = |stage: &mut Stage| {
        let (primary, _) = stage.roles();
        // What nobody else has received is lost by force, and that is announced; here nothing is.
        stage.hold_writes();
        stage.pause();
        stage.kill(&primary);
        stage.release_writes();
    };
    stage.sweep(side, die, |stage| {
        let (_, replicas) = stage.roles();
        stage.promote(&replicas[0], true);
    });
}

#[test]
fn killed_before_each_call_of_a_forced_failover() {
    failover(Side::Before);
}

#[test]
fn killed_after_each_call_of_a_forced_failover() {
    failover(Side::After);
}

/// A replica's data directory is damaged while nobody looks after it.
fn reseed(side: Side) {
    let mut stage = Stage::ready(World::new("seed", 1));
    stage.keeps_old_volumes = true;
    let damage = |stage: &mut Stage| {
        let container = stage.world.container("replica-1");
        stage.pause();
        let remove = "rm -f \"$PGDATA/global/pg_control\"";
        docker(&["exec", "-u", "postgres", &container, "sh", "-c", remove]);
        stage.kill("replica-1");
    };
    stage.sweep(side, damage, |stage| stage.resume());
}

#[test]
fn killed_before_each_call_of_a_re_seed() {
    reseed(Side::Before);
}

#[test]
fn killed_after_each_call_of_a_re_seed() {
    reseed(Side::After);
}
