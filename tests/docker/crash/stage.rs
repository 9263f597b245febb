//! What all sweeps have in common: a cluster with a client that writes, an agent that dies at one call after the other of
//! an operation, and what has to hold each time when its successor has come to rest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use reconciler::kinds::Request;
use serde_json::Value;
use tokio_postgres::{Client, Config, NoTls};

use super::host::{Side, Trigger};
use super::life::Life;
use crate::promotion::writer::Writer;
use crate::world::{DEADLINE, POLL, World, docker};

/// A sweep that finds no end is a loop of steps in the product.
const MOST_BOUNDARIES: usize = 80;

/// Of the ids asked for: how many the table does not have, the first of them and the last.
const MISSING: &str = "select count(*), min(id), max(id) from unnest($1::bigint[]) as asked (id) \
                       where not exists (select from written where written.id = asked.id)";

/// A cluster, its agent and its client.
pub struct Stage {
    // Dropped in this order: the agent ends before what it keeps is removed.
    life: Option<Life>,
    writer: Option<Writer>,
    pub world: World,
    trigger: Arc<Trigger>,
    generation: u64,
    password: String,
    /// Whether volumes that no member uses any more are kept, and so no leftovers.
    pub keeps_old_volumes: bool,
}

impl Stage {
    /// A cluster that is ready, and a client that writes to it.
    pub fn ready(world: World) -> Stage {
        let mut stage = Stage::armed(world, Side::Before, usize::MAX);
        assert!(stage.settles());
        stage.password = stage.password_now();
        let members = stage.members();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        stage.writer = Some(Writer::start(&stage.world, &members));
        stage
    }

    /// An agent that begins with nothing and dies at a call.
    pub fn armed(world: World, side: Side, number: usize) -> Stage {
        world.save();
        let trigger = Arc::new(Trigger::default());
        trigger.arm(side, number);
        Stage {
            life: Some(Life::begin(&world, Arc::clone(&trigger))),
            writer: None,
            world,
            trigger,
            generation: 0,
            password: String::new(),
            keeps_old_volumes: false,
        }
    }

    fn life(&self) -> &Life {
        self.life.as_ref().expect("an agent lives")
    }

    /// Whether all came to rest; else the agent died.
    pub fn settles(&self) -> bool {
        self.life().settles(self.generation)
    }

    /// Kills the agent where it stands, if it lives still, and begins the next one's life.
    pub fn revive(&mut self) {
        drop(self.life.take());
        self.trigger.arm(Side::Before, usize::MAX);
        self.life = Some(Life::begin(&self.world, Arc::clone(&self.trigger)));
    }

    /// The next agent brings everything to rest, and nothing is amiss.
    pub fn recovers(&mut self) {
        self.revive();
        assert!(self.settles());
        self.check();
    }

    /// The calls of the operation so far.
    pub fn calls(&self) -> Vec<String> {
        self.trigger.calls()
    }

    /// Kills the agent before or after each call of an operation in turn, and has the next one finish or roll back. The
    /// sweep is over when the operation ends before its call comes. `prepare` comes before each operation and is not
    /// counted.
    pub fn sweep(&mut self, side: Side, mut prepare: impl FnMut(&mut Stage), mut operation: impl FnMut(&mut Stage)) {
        for number in 1..MOST_BOUNDARIES {
            prepare(self);
            self.trigger.arm(side, number);
            self.generation = 0;
            let begin = Instant::now();
            operation(self);
            if self.settles() {
                let calls = self.calls();
                println!("{} boundaries: {calls:#?}", calls.len());
                assert!(calls.len() < number, "it lived through its call");
                assert!(number > 2, "an operation without calls is none");
                return self.check();
            }
            let call = self.calls().pop().unwrap_or_default();
            let died = begin.elapsed();
            self.recovers();
            println!(
                "{side:?} {number}, {call}: died after {died:?}, all well after {:?}",
                begin.elapsed()
            );
        }
        panic!("it takes ever more steps: {:#?}", self.calls());
    }

    /// Edits the manifest; the operation is not over before the edit is in force.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        self.generation = self.life().look().map_or(0, |look| look.view.generation);
        self.world.edit(change);
    }

    /// Has the agent leave the cluster alone.
    pub fn pause(&self) {
        self.life().with(|run| run.set_paused(true)).unwrap();
    }

    /// Has the agent look after the cluster again.
    pub fn resume(&self) {
        self.life().with(|run| run.set_paused(false)).unwrap();
    }

    /// Asks for a promotion, which is accepted; nothing comes between the end of a pause and the promotion.
    pub fn promote(&self, member: &str, force: bool) {
        let request = Request::Promote {
            member: member.to_owned(),
            force,
            dry_run: false,
        };
        let reply = self.life().with(move |run| {
            run.set_paused(false).unwrap();
            run.request(&request)
        });
        assert!(reply.accepted, "{reply:?}");
    }

    /// Kills a member, and waits until the agent knows.
    pub fn kill(&self, member: &str) {
        docker(&["kill", &self.world.container(member)]);
        self.world.until("it has ended", |w| {
            docker(&["inspect", "-f", "{{.State.Running}}", &w.container(member)]) == "false"
        });
        self.life().look().expect("it lives");
    }

    /// Has the client pause when every member has what was acknowledged.
    pub fn hold_writes(&self) {
        let writer = self.writer.as_ref().expect("a client writes");
        writer.hold();
        for member in self.members() {
            self.has_all(&member, &writer.ids());
        }
    }

    /// Has the client go on.
    pub fn release_writes(&self) {
        self.writer.as_ref().expect("a client writes").release();
    }

    /// The members that the last look shows.
    pub fn members(&self) -> Vec<String> {
        let look = self.life().look().expect("it lives");
        let members = look.view.status.members.into_iter();
        members.map(|member| member.name).collect()
    }

    /// The primary and the replicas that the last look shows.
    pub fn roles(&self) -> (String, Vec<String>) {
        let look = self.life().look().expect("it lives");
        let members = look.view.status.members.into_iter();
        let (primary, replicas): (Vec<_>, Vec<_>) = members.partition(|m| m.role == "primary");
        assert_eq!(primary.len(), 1, "one primary");
        let replicas = replicas.into_iter().map(|member| member.name).collect();
        (primary[0].name.clone(), replicas)
    }

    fn password_now(&self) -> String {
        std::fs::read_to_string(self.world.secret("postgres"))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// One primary, the same password, nothing acknowledged lost, nothing left over, nothing foreign.
    pub fn check(&self) {
        let calls = self.calls();
        let members = self.members();
        if !self.password.is_empty() {
            assert_eq!(self.password_now(), self.password, "the password stays");
        }
        let writable = members.iter().filter(|member| self.is_writable(member));
        let writable: Vec<&String> = writable.collect();
        assert_eq!(writable.len(), 1, "one member accepts writes: {writable:?}");
        self.the_write_route_leads_to(writable[0], &members);
        if let Some(writer) = &self.writer {
            let acknowledged = writer.ids();
            for member in &members {
                self.has_all(member, &acknowledged);
            }
            writer.wait_for(acknowledged.len() + 3);
        }
        self.nothing_is_left_over(&members);
        assert_eq!(self.calls(), calls, "it was at rest, and went on");
    }

    /// Exactly one member answers to the name that applications write to.
    fn the_write_route_leads_to(&self, primary: &str, members: &[String]) {
        let name = &self.world.name;
        let template = format!("{{{{json (index .NetworkSettings.Networks \"{name}-svc\").Aliases}}}}");
        for member in members {
            let aliases = docker(&["inspect", "-f", &template, &self.world.container(member)]);
            let is_routed = aliases.contains(&format!("\"{name}-rw\""));
            assert_eq!(is_routed, member == primary, "{member}: {aliases}");
        }
    }

    fn nothing_is_left_over(&self, members: &[String]) {
        let name = &self.world.name;
        // By name, so that one without our labels is found too.
        let containers = lines(&[
            "ps",
            "-a",
            "--format",
            "{{.Names}}",
            "--filter",
            &format!("name={name}-"),
        ]);
        let wanted: BTreeSet<String> = members.iter().map(|m| self.world.container(m)).collect();
        assert_eq!(containers, wanted, "containers");
        let networks = lines(&[
            "network",
            "ls",
            "--format",
            "{{.Name}}",
            "--filter",
            &format!("name={name}-"),
        ]);
        let service = format!("{name}-svc");
        assert_eq!(networks, BTreeSet::from([self.world.network(), service]), "networks");
        let inspect: Vec<&str> = ["inspect", "-f", "{{range .Mounts}}{{.Name}} {{end}}"]
            .into_iter()
            .chain(wanted.iter().map(String::as_str))
            .collect();
        let mounted: Vec<String> = docker(&inspect).split_whitespace().map(str::to_owned).collect();
        assert_eq!(mounted.len(), members.len(), "one volume each: {mounted:?}");
        let volumes = lines(&["volume", "ls", "-q", "--filter", &format!("name={name}-")]);
        let mounted: BTreeSet<String> = mounted.into_iter().collect();
        assert!(volumes.is_superset(&mounted), "{volumes:?} {mounted:?}");
        if !self.keeps_old_volumes {
            assert_eq!(volumes, mounted, "volumes");
        }
    }

    fn is_writable(&self, member: &str) -> bool {
        let recovering = self.query(member, async |client: &Client| {
            client.query_one("select pg_is_in_recovery()", &[]).await
        });
        !recovering.get::<_, bool>(0)
    }

    /// A replica may be a little behind; what it never gets is lost.
    fn has_all(&self, member: &str, ids: &[i64]) {
        let begin = Instant::now();
        loop {
            let missing = self.query(member, async |client: &Client| client.query_one(MISSING, &[&ids]).await);
            let count: i64 = missing.get(0);
            if count == 0 {
                return;
            }
            let range: (Option<i64>, Option<i64>) = (missing.get(1), missing.get(2));
            assert!(
                begin.elapsed() < DEADLINE / 4,
                "{count} of {} acknowledged writes are not in {member}: {range:?}",
                ids.len()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Asks a member through its published port: so the password is tried as well.
    fn query<T>(&self, member: &str, ask: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>) -> T {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(port(&self.world, member))
            .user("postgres")
            .dbname("postgres");
        config.password(self.password_now()).connect_timeout(DEADLINE / 4);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await?;
            let connection = tokio::spawn(connection);
            let answer = ask(&client).await;
            connection.abort();
            answer
        });
        answer.unwrap_or_else(|error| panic!("{member}: {error}"))
    }
}

fn port(world: &World, member: &str) -> u16 {
    let number = member
        .strip_prefix("replica-")
        .map_or(0, |number| number.parse().unwrap());
    world.base_port + number
}

fn lines(arguments: &[&str]) -> BTreeSet<String> {
    docker(arguments).lines().map(str::to_owned).collect()
}
