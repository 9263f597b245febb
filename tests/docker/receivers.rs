//! Others receive the primary's log: `pg_receivewal`, beside the cluster's network and through the published port. Frozen, they
//! would keep the primary from stopping for `wal_sender_timeout`, and for ever without one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::by_hand::{freeze, send};
use crate::promotion::writer::{self, Writer};
use crate::world::{World, docker, docker_output, image};

/// The longest time without an acknowledged write that counts as none for a frozen receiver, on the busiest machine.
const NOT_HELD_UP: Duration = Duration::from_secs(20);

/// A container that is removed when the test ends.
pub struct Guest(pub String);

impl Drop for Guest {
    fn drop(&mut self) {
        docker(&["rm", "-f", "-v", &self.0]);
    }
}

/// Runs a script in a container of the image under test, on a network, with the password of a role.
pub fn guest(world: &World, name: &str, network: &str, role: &str, script: &str) -> Guest {
    let password = std::fs::read_to_string(world.secret(role)).unwrap();
    let name = format!("{}-{name}", world.name);
    let environment = format!("PGPASSWORD={}", password.trim());
    docker(&[
        "run",
        "-d",
        "--name",
        &name,
        "--label",
        "dev-test=docker",
        "--network",
        network,
        "-e",
        &environment,
        "--user",
        "postgres",
        "--entrypoint",
        "sh",
        &image(),
        "-c",
        script,
    ]);
    Guest(name)
}

/// A `pg_receivewal` that goes on from whoever is the primary.
fn archiver(world: &World, name: &str, network: &str, hosts: &str) -> Guest {
    let conninfo = format!("{hosts} user=archiver application_name={name} target_session_attrs=read-write");
    let script = format!("mkdir /tmp/wal && exec pg_receivewal -D /tmp/wal -d '{conninfo}'");
    guest(world, name, network, "archiver", &script)
}

fn receivers(world: &World, member: &str, condition: &str) -> String {
    let sql = format!("select count(*) from pg_stat_replication where {condition}");
    world.sql(member, "postgres", &sql)
}

/// Whether so many receivers are behind. More is written until they are: what the kernels hold for a frozen one counts as
/// sent, and may be tens of megabytes.
fn is_behind(world: &World, member: &str, count: u32) -> bool {
    let filler = "insert into filler select repeat(md5(n::text), 30) from generate_series(1, 10000) as n";
    assert_eq!(world.sql(member, "postgres", filler), "");
    let behind = "pg_wal_lsn_diff(pg_current_wal_flush_lsn(), sent_lsn) > 5000000";
    receivers(world, member, behind) == count.to_string()
}

/// Runs something, and measures the longest time in which nothing was acknowledged meanwhile.
fn outage<T>(writer: &Writer, act: impl FnOnce() -> T + Send) -> (T, Duration)
where
    T: Send,
{
    std::thread::scope(|scope| {
        let acting = scope.spawn(act);
        let (mut seen, mut since, mut longest) = (writer.acknowledged(), Instant::now(), Duration::ZERO);
        while !acting.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
            let now = writer.acknowledged();
            longest = longest.max(since.elapsed());
            if now > seen {
                (seen, since) = (now, Instant::now());
            }
        }
        (acting.join().unwrap(), longest)
    })
}

/// A restart is not held up either, where nobody can be asked any more when it turns out that somebody is frozen.
fn restarts_beside_a_frozen_one(world: &World, primary: &str, receiver: &Guest) {
    docker(&["pause", &receiver.0]);
    world.until("it is behind", |w| is_behind(w, primary, 1));
    let restarted = world.started_at(primary);
    assert_eq!(world.cli(&["restart", primary]).code, 0);
    world.until("it has restarted", |w| {
        w.started_at(primary) != restarted && w.is_ready()
    });
    world.wait_event("end the WAL senders that hold its shutdown up");
    let log = docker_output(&["logs", "--since", &restarted, &world.container(primary)]);
    let log = format!("{}{}", log.out, log.err);
    assert!(!log.contains("not properly shut down"), "{log}");
    docker(&["unpause", &receiver.0]);
}

#[test]
fn frozen_receivers_hold_no_switchover_up_and_go_on_from_the_new_primary() {
    let mut world = World::new("receivers", 2);
    world.spec["parameters"]["wal_sender_timeout"] = json!(0);
    // An archiver without a slot needs what it lacks when it comes back.
    world.spec["parameters"]["wal_keep_size"] = json!("1GB");
    world.spec["replication"] = json!({"maxLag": "4GiB"});
    world.spec["roles"] = json!([{"name": "archiver", "replication": true}]);
    world.spec["hba"] = json!(["host replication archiver all scram-sha-256"]);
    world.start();
    world.wait_ready();
    let members = ["master", "replica-1", "replica-2"];
    let names = members.map(|member| world.container(member)).join(",");
    let ports: Vec<String> = (0..3).map(|n| (world.base_port + n).to_string()).collect();
    let published = format!("host=127.0.0.1,127.0.0.1,127.0.0.1 port={}", ports.join(","));
    let inside = archiver(&world, "inside", &world.network(), &format!("host={names}"));
    let outside = archiver(&world, "outside", "host", &published);
    let theirs = "usename = 'archiver' and state = 'streaming'";
    world.until("both receive the log", |w| receivers(w, "master", theirs) == "2");
    let writer = Writer::start(&world, &members);
    writer.wait_for(20);

    for frozen in [&inside.0, &outside.0] {
        docker(&["pause", frozen]);
    }
    // One of the cluster's own is frozen besides, and is not the one that takes over.
    let walreceiver = freeze(&world, "replica-2", "walreceiver");
    world.sql("master", "postgres", "create table filler (a text)");
    world.until("all three are behind", |w| is_behind(w, "master", 3));
    world.until("replica-1 is not", |w| w.member("replica-1")["state"] == "streaming");
    let dry = world.cli(&["promote", "replica-1", "--dry-run"]);
    let lines = dry.out.lines();
    let told: Vec<&str> = lines.filter(|line| line.contains("keeps it from stopping")).collect();
    assert!(dry.code == 0 && told.len() == 1, "{}{}", dry.out, dry.err);
    for word in [
        "inside (role archiver",
        "outside (role archiver",
        "bytes behind",
        "last reply",
        "cut off unless",
    ] {
        assert!(told[0].contains(word), "{word}: {}", told[0]);
    }

    let (promoted, longest) = outage(&writer, || world.cli(&["promote", "replica-1", "--timeout", "5"]));
    let reached = writer.acknowledged();
    writer.wait_for(reached + 20);
    println!(
        "frozen receivers: {} ms without an acknowledged write",
        longest.as_millis()
    );
    assert!(longest < NOT_HELD_UP, "{longest:?}\n{}{}", promoted.out, promoted.err);
    assert_eq!(world.primary(), "replica-1");
    let last = world.resource()["status"]["lastOperation"].clone();
    assert_eq!(last["succeeded"], Value::Bool(true), "{last}");
    assert!(
        !world.events().contains("SIGKILL"),
        "nobody was killed: {}",
        world.events()
    );

    for thawed in [&inside.0, &outside.0] {
        docker(&["unpause", thawed]);
    }
    send(&world, "replica-2", "CONT", &walreceiver);
    world.until("all follow", |w| {
        let follows = |member: &str| w.member(member)["state"] == "streaming";
        w.is_ready() && follows("master") && follows("replica-2")
    });
    world.until("the receivers go on from the new primary", |w| {
        receivers(w, "replica-1", theirs) == "2"
    });
    restarts_beside_a_frozen_one(&world, "replica-1", &inside);
    let ids = writer.stop();
    let missing = writer::missing(&world, "replica-1", &ids);
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    assert_eq!(world.volumes().len(), 3, "nobody was seeded anew");
}
