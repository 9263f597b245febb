//! From nothing to a primary with a replica, a role and a database.

use serde_json::json;

use super::host::Side;
use super::stage::Stage;
use crate::world::World;

fn sweep(side: Side) {
    for number in 1.. {
        assert!(number < 80, "it takes ever more steps");
        let mut world = World::new(&format!("up{number}"), 1);
        world.spec["roles"] = json!([{"name": "app"}]);
        world.spec["databases"] = json!([{"name": "app", "owner": "app"}]);
        let mut stage = Stage::armed(world, side, number);
        if stage.settles() {
            println!("{} boundaries: {:#?}", number - 1, stage.calls());
            assert!(number > 8, "that many it takes at least");
            return stage.check();
        }
        println!("{side:?} call {number}: {:?}", stage.calls().last());
        stage.recovers();
        let owner = "select datdba::regrole from pg_database where datname = 'app'";
        assert_eq!(stage.world.sql("replica-1", "postgres", owner), "app");
    }
}

#[test]
fn killed_before_each_call_of_the_bring_up_it_goes_on() {
    sweep(Side::Before);
}

#[test]
fn killed_after_each_call_of_the_bring_up_it_goes_on() {
    sweep(Side::After);
}
