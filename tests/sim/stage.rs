//! The agent's lives in a world, and what its users do: they edit the manifest, give commands, and wait.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use reconciler::agent::Agent;
use reconciler::agent::runner::Run;
use reconciler::agent::view::{ReplyView, ResourceView};
use reconciler::kinds::Request;
use reconciler::kinds::postgres::cluster::Cluster;
use reconciler::kinds::postgres::spec::{FailoverMode, PostgresCluster, ReplicationMode};
use reconciler::manifest::load::{Document, Loaded};
use serde_json::{Value, json};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::accidents::Accident;
use super::host::SimHost;
use super::rng::Rng;
use super::story;
use super::world::{Pace, World};

/// The cluster's kind and name.
pub(super) const KEY: (&str, &str) = ("PostgresCluster", "pg");
/// What it is called for a while.
const RENAMED: &str = "pg-renamed";
/// An image that is nowhere.
const MISSING: &str = "postgres:missing";
/// How long nothing may be left to do until that counts as rest: two rounds of looking without being asked.
const REST: Duration = Duration::from_secs(11);

/// Why a script ends early: what it waited for did not come, or an invariant is violated.
#[derive(Debug)]
pub struct Ended;

/// What a script's steps come to.
pub type Played<T = ()> = Result<T, Ended>;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// What happened that must not.
    pub violation: Option<String>,
    /// The story, if it was told.
    pub lines: Vec<String>,
    /// How many rows were acknowledged, and how many of them users gave up.
    pub rows: (u64, u64),
    /// How often the agent changed something, or tried to.
    pub writes: u64,
    /// How long it took in the world's own time, in ms.
    pub lasted: u64,
}

/// A world with an agent in it, and perhaps a second one with a state directory of its own.
#[derive(Debug)]
pub struct Stage {
    /// The world.
    pub host: SimHost,
    pub(super) agents: [RefCell<Option<Rc<Agent<SimHost>>>>; 2],
    spec: RefCell<Value>,
    pub(super) has_rival: Cell<bool>,
    renamed: Cell<Option<&'static str>>,
}

/// Plays a script in a world of a seed.
pub fn play(rng: Rng, pace: Pace, is_told: bool, script: impl AsyncFnOnce(&Rc<Stage>) -> Played) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        let host = SimHost::new(World::new(rng, pace, is_told));
        let _guard = is_told.then(|| story::listen(host.start()));
        let stage = Rc::new(Stage {
            host,
            agents: Default::default(),
            spec: RefCell::new(json!({"image": "postgres:17", "replicas": 2})),
            has_rival: Cell::new(false),
            renamed: Cell::new(None),
        });
        let pumped = Rc::clone(&stage);
        tokio::task::spawn_local(async move {
            pumped
                .host
                .pump(|| {
                    for agent in pumped.agents.iter().filter_map(|agent| agent.borrow().clone()) {
                        agent.runners().iter().for_each(|runner| runner.wake(true));
                    }
                })
                .await;
        });
        tokio::task::spawn_local(Rc::clone(&stage).live(0));
        let ended = script(&stage).await;
        let outcome = stage.outcome(ended.is_ok());
        stage.agents.iter().for_each(|agent| drop(agent.replace(None)));
        outcome
    }))
}

/// What an automatic failover may lose by a manifest.
fn may_lose(spec: &Value) -> Option<u64> {
    let spec: PostgresCluster = serde_json::from_value(spec.clone()).ok()?;
    let is_automatic = spec.failover.mode == FailoverMode::Automatic;
    let is_asynchronous = spec.replication.mode == ReplicationMode::Asynchronous;
    let cluster = Cluster::new(KEY.1, "", 1, spec).ok()?;
    (is_automatic && is_asynchronous).then_some(cluster.max_lag_bytes)
}

impl Stage {
    fn outcome(&self, is_played: bool) -> Outcome {
        let writes = self.host.writes();
        self.host.see(|world| Outcome {
            violation: match (world.watch.violation.take(), is_played) {
                (None, false) => Some("the script ended early".to_owned()),
                (violation, _) => violation,
            },
            lines: world.story.take(),
            rows: (world.clients.rows, world.clients.given_up),
            writes,
            lasted: world.now,
        })
    }

    /// The manifest says what it says now.
    pub(super) fn declare(&self) {
        let name = self.renamed.get().unwrap_or(KEY.1);
        let spec = match self.renamed.get() {
            Some(_) => json!({"image": MISSING, "replicas": 1, "pullPolicy": "Never"}),
            None => self.spec.borrow().clone(),
        };
        let document = Document {
            kind: KEY.0.to_owned(),
            name: name.to_owned(),
            labels: Default::default(),
            annotations: Default::default(),
            spec,
            files: Default::default(),
            file: "pg.yaml".to_owned(),
            line: 1,
        };
        self.host
            .see(|world| world.watch.declared = [name.to_owned()].into_iter().collect());
        for agent in self.agents.iter().filter_map(|agent| agent.borrow().clone()) {
            agent.take(Loaded {
                documents: vec![document.clone()],
                ..Loaded::default()
            });
        }
    }

    /// Somebody changes the cluster's name in the manifest, to one that cannot be brought up for want of an image, or changes
    /// it back, and the image comes.
    pub fn rename(&self, is_renamed: bool) {
        self.renamed.set(is_renamed.then_some(RENAMED));
        self.host.with(|world| {
            world.missing_image = is_renamed.then(|| MISSING.to_owned());
            world.tell("user", || {
                format!("changes the cluster's name, or changes it back: {is_renamed}")
            });
        });
        self.declare();
    }

    /// Whether a second agent was started.
    pub fn has_rival(&self) -> bool {
        self.has_rival.get()
    }

    /// Edits the manifest.
    pub fn edit(&self, words: &str, edit: impl FnOnce(&mut Value)) {
        self.host
            .with(|world| world.tell("user", || format!("edits the manifest: {words}")));
        edit(&mut self.spec.borrow_mut());
        let may_lose = may_lose(&self.spec.borrow());
        self.host.with(|world| {
            world.watch.may_lose = may_lose;
            world.watch.stopped_by_ours = None;
        });
        self.declare();
    }

    /// What the manifest says.
    pub fn spec(&self) -> Value {
        self.spec.borrow().clone()
    }

    /// The agent's view of the cluster, while it lives.
    pub fn view(&self) -> Option<ResourceView> {
        Some(self.runner()?.view())
    }

    fn runner(&self) -> Option<Rc<dyn Run>> {
        let agent = self.agents[self.acting()].borrow();
        agent.as_ref()?.runner(&(KEY.0.to_owned(), KEY.1.to_owned()))
    }

    /// Gives a command.
    pub fn request(&self, request: &Request) -> Option<ReplyView> {
        let reply = self.runner()?.request(request);
        if let Request::Promote {
            member,
            force: true,
            dry_run: false,
        } = request
            && reply.accepted
        {
            self.host.with(|world| {
                world.watch.forced = Some(member.clone());
                // Who takes writes already is confirmed at once.
                if let Some(at) = world.member(member).filter(|at| world.containers[*at].accepts_writes()) {
                    world.confirmed(at);
                }
            });
        }
        self.host.with(|world| {
            world.tell("user", || format!("{request:?}: {}", reply.message));
        });
        Some(reply)
    }

    /// Pauses the cluster's care, or goes on with it.
    pub fn set_paused(&self, paused: bool) {
        let done = self.runner().map(|runner| runner.set_paused(paused));
        let word = if paused { "pauses" } else { "resumes" };
        self.host
            .with(|world| world.tell("user", || format!("{word} the cluster: {}", done.is_some())));
    }

    /// The agent dies, and its state directory is lost.
    pub fn lose_state(&self) {
        self.host.with(|world| {
            world.tell("accident", || "the state directory is lost".to_owned());
            world.give_up_beside_a_second_writer();
            world.watch.stopped_by_ours = None;
        });
        let agent = self.host.of(self.acting());
        agent.see(|world| world.passwords.clear());
        agent.crash();
        agent.shelf().clear();
    }

    /// Lets time pass.
    pub async fn pass(&self, ms: u64) -> Played {
        sleep(Duration::from_millis(ms)).await;
        self.host.see(|world| {
            if world.watch.violation.is_some() {
                Err(Ended)
            } else {
                Ok(())
            }
        })
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, limit_ms: u64, holds: impl Fn(&Stage) -> bool) -> Played {
        let mut waited = 0;
        while !holds(self) {
            if waited > limit_ms {
                let view = self.view();
                let text = format!("waited in vain until {what}; {}", described(view.as_ref()));
                self.host.with(|world| world.violated(&text));
                return Err(Ended);
            }
            self.pass(250).await?;
            waited += 250;
        }
        Ok(())
    }

    /// Whether all is as it should be and nothing is left to do.
    pub fn is_ready(&self) -> bool {
        let Some(runner) = self.runner() else {
            return false;
        };
        let view = runner.view();
        view.status.is_ready() && view.status.observed_generation == view.generation && runner.plan().steps.is_empty()
    }

    /// Waits until the agent is content for the first time.
    pub async fn bring_up(&self) -> Played {
        self.until("the cluster is ready", 180_000, Stage::is_ready).await
    }

    /// Waits for rest, doing what the agent says that a user has to do, and looks at the world then.
    pub async fn settle(&self) -> Played {
        let limit_ms = 1_800_000;
        let mut waited = 0;
        loop {
            self.pass(1_000).await?;
            waited += 1_000;
            if self.is_ready() {
                let before = self.host.writes();
                self.pass(u64::try_from(REST.as_millis()).unwrap_or(0)).await?;
                if self.is_ready() && self.host.writes() == before {
                    break;
                }
            }
            // What was forgotten is read again.
            self.declare();
            if self.view().is_some_and(|view| view.paused) {
                self.set_paused(false);
            }
            if waited % 60_000 == 0 {
                self.obey();
            }
            if waited > limit_ms {
                let text = format!("it does not come to rest; {}", described(self.view().as_ref()));
                self.host.with(|world| world.violated(&text));
                return Err(Ended);
            }
        }
        let members = self.spec.borrow()["replicas"].as_u64().unwrap_or(0) + 1;
        self.host.with(|world| {
            world.check_rest(usize::try_from(members).unwrap_or(0));
            world.watch.forced = None;
        });
        self.pass(0).await
    }

    /// Does what the agent asks of its user: the command that its own words name.
    fn obey(&self) {
        let Some(view) = self.view() else {
            return;
        };
        let conditions = view.status.conditions.iter().map(|condition| &condition.message);
        for note in view.status.notes.iter().chain(conditions) {
            let words: Vec<&str> = note.split('`').collect();
            let commands = words.iter().skip(1).step_by(2);
            for command in commands {
                let words: Vec<&str> = command.split_whitespace().collect();
                if let ["docker", "stop", container] | ["docker", "unpause", _, "&&", "docker", "stop", container] =
                    words.as_slice()
                {
                    self.host.with(|world| world.stop_beside(container));
                }
                if let ["docker", "rm", "-f", container] = words.as_slice() {
                    self.host.with(|world| {
                        // It leaves the choice to its user.
                        let copy = world
                            .containers
                            .iter()
                            .find(|one| one.is_copy() && *container == "NAME");
                        let container = copy.map_or_else(|| (*container).to_owned(), |one| one.seen.name.clone());
                        if let Some(at) = world.find(&container) {
                            world.befall(at, Accident::Removed);
                        }
                    });
                }
                if let ["reconciler", "promote", member, "--force"] = words.as_slice() {
                    let member = match *member {
                        // It leaves the choice to its user.
                        "MEMBER" => self.fullest(),
                        member => Some(member.to_owned()),
                    };
                    if let Some(member) = member {
                        self.request(&Request::Promote {
                            member,
                            force: true,
                            dry_run: false,
                        });
                    }
                    return;
                }
            }
        }
    }

    /// The member with the longest log.
    fn fullest(&self) -> Option<String> {
        self.host.see(|world| {
            let all = (0..world.containers.len()).filter_map(|at| {
                let data = world.data(at)?;
                Some((
                    (data.timeline, world.wal.end(data.place)),
                    world.containers[at].member().to_owned(),
                ))
            });
            all.max().map(|(_, member)| member)
        })
    }
}

fn described(view: Option<&ResourceView>) -> String {
    let Some(view) = view else {
        return "the agent does not live".to_owned();
    };
    let conditions = view.status.conditions.iter();
    let conditions: Vec<String> = conditions
        .map(|c| format!("{}={:?} ({}: {})", c.kind, c.status, c.reason, c.message))
        .collect();
    format!("{}; {}", conditions.join("; "), view.status.notes.join("; "))
}
