//! A subscriber on another server, across changes of the primary: its slot moves with the role, it goes on, and no row is
//! missing. What a promotion would break is said before.

use serde_json::json;

use crate::receivers::Guest;
use crate::world::{DEADLINE, POLL, World, docker, docker_output};

/// The first version that copies logical slots to standbys.
const IMAGE: &str = "postgres:17";

/// The subscriber: a server of its own, which is no member of anything.
struct Subscriber(Guest);

impl Subscriber {
    fn start(world: &World) -> Subscriber {
        let name = format!("{}-subscriber", world.name);
        docker(&[
            "run",
            "-d",
            "--name",
            &name,
            "--label",
            "dev-test=docker",
            "--network",
            &world.network(),
            "-e",
            "POSTGRES_HOST_AUTH_METHOD=trust",
            IMAGE,
            "-c",
            "wal_retrieve_retry_interval=500ms",
        ]);
        let subscriber = Subscriber(Guest(name));
        world.until("the subscriber answers", |_| {
            // The entry point's own server listens to nobody but itself.
            let ask = ["exec", &subscriber.0.0, "pg_isready", "-h", "127.0.0.1", "-q"];
            docker_output(&ask).code == 0
        });
        subscriber
    }

    /// Subscribes to whoever is the primary, with a slot that is to outlast it.
    fn subscribe(&self, world: &World) {
        let password = world.secret("feeder");
        let password = std::fs::read_to_string(password).unwrap();
        let members = ["master", "replica-1", "replica-2"].map(|member| world.container(member));
        let said = self.sql(&format!(
            "create subscription s connection 'host={} user=feeder password={} dbname=postgres \
             target_session_attrs=read-write' publication p with (failover = true)",
            members.join(","),
            password.trim()
        ));
        assert!(!said.contains("ERROR"), "{said}");
    }

    fn sql(&self, sql: &str) -> String {
        let output = docker_output(&["exec", &self.0.0, "psql", "-U", "postgres", "-Atqc", sql]);
        format!("{}{}", output.out.trim(), output.err.trim())
    }
}

/// Whether a member's copy of the subscriber's slot can take over.
fn is_copied(world: &World, member: &str) -> bool {
    let sql = "select synced and not temporary and invalidation_reason is null from pg_replication_slots \
               where slot_name = 's'";
    world.sql(member, "postgres", sql) == "t"
}

/// What a dry run says of logical slots.
fn precondition(world: &World, target: &str) -> String {
    let dry = world.cli(&["promote", target, "--dry-run"]);
    let line = dry.out.lines().find(|line| line.contains("logical slot"));
    line.unwrap_or_else(|| panic!("{}{}", dry.out, dry.err)).to_owned()
}

/// Rows that the subscriber is to have.
struct Feed<'w> {
    world: &'w World,
    subscriber: &'w Subscriber,
    count: u32,
}

impl Feed<'_> {
    fn write(&mut self, member: &str, rows: u32) {
        let (from, to) = (self.count + 1, self.count + rows);
        let sql = format!("insert into t select generate_series({from}, {to})");
        assert_eq!(self.world.sql(member, "postgres", &sql), "");
        self.count = to;
    }

    fn arrives(&self) {
        let count = self.count;
        self.world.until(&format!("the subscriber has {count} rows"), |_| {
            self.subscriber.sql("select count(*) from t") == count.to_string()
        });
    }

    /// Writes until members can take over: a copy becomes whole as its slot moves on.
    fn is_copied(&mut self, primary: &str, members: &[&str]) {
        let begin = std::time::Instant::now();
        while !members.iter().all(|member| is_copied(self.world, member)) {
            let events = || self.world.events() + &self.world.cli(&["status"]).out;
            assert!(begin.elapsed() < DEADLINE, "{members:?} have no copy\n{}", events());
            self.write(primary, 1);
            std::thread::sleep(POLL * 4);
        }
    }
}

/// Whether status shows a slot of a member.
fn is_shown(world: &World, slot: &str, member: &str) -> bool {
    let slots = world.resource()["status"]["slots"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    slots.iter().any(|s| s["name"] == slot && s["member"] == member)
}

fn listed(world: &World, member: &str) -> String {
    world.sql(member, "postgres", "show synchronized_standby_slots")
}

#[test]
fn a_subscriber_goes_on_from_the_new_primary_and_no_row_is_missing() {
    let mut world = World::new("logical", 2);
    world.spec["image"] = json!(IMAGE);
    world.spec["parameters"]["wal_level"] = json!("logical");
    world.spec["roles"] = json!([{"name": "feeder", "replication": true, "superuser": true}]);
    world.start();
    world.wait_ready();
    let subscriber = Subscriber::start(&world);
    for sql in ["create table t (n int primary key)", "create publication p for table t"] {
        assert_eq!(world.sql("master", "postgres", sql), "");
    }
    // Somebody's own slots: one that looks like a member's, and a logical one that no standby has.
    world.sql(
        "master",
        "postgres",
        "select pg_create_physical_replication_slot('replica_7', true)",
    );
    world.sql(
        "master",
        "postgres",
        "select pg_create_logical_replication_slot('plain', 'pgoutput')",
    );
    world.until("the slot is seen", |w| precondition(w, "replica-1").contains("plain"));
    let refused = world.cli(&["promote", "replica-1", "--dry-run"]);
    assert_eq!(refused.code, 4, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("not made with `failover`"), "{}", refused.err);
    world.sql("master", "postgres", "select pg_drop_replication_slot('plain')");

    let mut feed = Feed {
        world: &world,
        subscriber: &subscriber,
        count: 0,
    };
    feed.write("master", 100);
    assert_eq!(subscriber.sql("create table t (n int primary key)"), "");
    subscriber.subscribe(&world);
    feed.arrives();
    feed.is_copied("master", &["replica-1", "replica-2"]);
    world.until("the replicas are waited for", |w| {
        listed(w, "master") == "replica_1,replica_2"
    });
    for (slot, member) in [("s", "master"), ("s", "replica-1"), ("replica_7", "master")] {
        assert!(is_shown(&world, slot, member), "{slot} of {member} is not shown");
    }

    // A replica that restarts is not waited for meanwhile.
    let started = world.started_at("replica-2");
    assert_eq!(world.cli(&["restart", "replica-2"]).code, 0);
    world.until("it restarts", |w| w.started_at("replica-2") != started);
    feed.write("master", 100);
    feed.arrives();
    world.until("it is waited for again", |w| {
        listed(w, "master") == "replica_1,replica_2"
    });
    feed.is_copied("master", &["replica-1", "replica-2"]);

    for (from, to) in [("master", "replica-1"), ("replica-1", "master")] {
        feed.write(from, 100);
        let told = precondition(&world, to);
        assert!(told.trim_start().starts_with("yes"), "{told}");
        let promoted = world.cli(&["promote", to]);
        assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
        feed.write(to, 100);
        feed.arrives();
        // What the old primary had as its own is a copy from now on.
        feed.is_copied(to, &[from, "replica-2"]);
    }
    assert_eq!(listed(&world, "master"), "replica_1,replica_2");
    let sql = "select string_agg(slot_name, ',' order by slot_name) from pg_replication_slots";
    assert_eq!(world.sql("master", "postgres", sql), "replica_1,replica_2,replica_7,s");
    assert_eq!(
        subscriber.sql("select count(distinct n) from t"),
        feed.count.to_string()
    );
}
