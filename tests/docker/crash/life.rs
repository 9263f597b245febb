//! One life of an agent: in a thread of the test, over the real host, with the product's own queue, passes and store.
//! When it dies all of it is dropped at once, requests that are under way included. What is left is what a SIGKILL
//! leaves: the state directory and the world.

use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reconciler::agent::Agent;
use reconciler::agent::runner::Run;
use reconciler::agent::view::{PlanView, ResourceView};
use reconciler::host::Secrets;
use reconciler::host::docker::Docker;
use reconciler::host::real::RealHost;
use reconciler::store::{SecretFiles, Store};
use tokio::sync::{Notify, mpsc};
use tokio::task::LocalSet;

use super::host::{CrashingHost, Trigger};
use crate::world::{DEADLINE, World};

/// What is asked of a resource.
type Question = Box<dyn FnOnce(&dyn Run) + Send>;

/// What is done in the agent's thread.
enum Call {
    Look(std_mpsc::Sender<Option<Look>>),
    With(Question),
    End,
}

/// What a pass that began after the question saw and planned.
#[derive(Debug)]
pub struct Look {
    pub view: ResourceView,
    pub plan: PlanView,
}

/// A life.
pub struct Life {
    calls: mpsc::UnboundedSender<Call>,
    thread: Option<JoinHandle<()>>,
}

impl Life {
    /// Starts an agent over what an earlier one left.
    pub fn begin(world: &World, trigger: Arc<Trigger>) -> Life {
        let (calls, incoming) = mpsc::unbounded_channel();
        let (state_dir, manifests) = (world.state_dir(), world.dir.join("manifests"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(world.dir.join("agent.log"));
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("reconciler=debug")
            .with_ansi(false)
            .with_writer(log.unwrap())
            .finish();
        let key = (
            reconciler::kinds::postgres::cluster::KIND.to_owned(),
            world.name.clone(),
        );
        let thread = std::thread::spawn(move || {
            tracing::subscriber::with_default(subscriber, || live(state_dir, manifests, key, trigger, incoming));
        });
        Life {
            calls,
            thread: Some(thread),
        }
    }

    /// Looks anew; `None` once it is dead.
    pub fn look(&self) -> Option<Look> {
        let begin = Instant::now();
        loop {
            let (reply, answer) = std_mpsc::channel();
            self.calls.send(Call::Look(reply)).ok()?;
            if let Some(look) = answer.recv().ok()? {
                return Some(look);
            }
            assert!(begin.elapsed() < DEADLINE, "the manifest is not read");
        }
    }

    /// Waits until the spec of a generation after `before` is in force, all is well and nothing is left to do; false once
    /// it is dead.
    pub fn settles(&self, before: u64) -> bool {
        let begin = Instant::now();
        let mut quiet = 0;
        while let Some(look) = self.look() {
            let status = &look.view.status;
            let current = look.view.generation > before && status.observed_generation == look.view.generation;
            let settled = current && status.is_ready() && look.plan.steps.is_empty() && status.operation.is_none();
            quiet = if settled { quiet + 1 } else { 0 };
            if quiet == 2 {
                return true;
            }
            assert!(begin.elapsed() < DEADLINE, "it does not come to rest: {look:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// Asks something of the resource in the agent's thread, between two of its steps.
    pub fn with<T: Send + 'static>(&self, ask: impl FnOnce(&dyn Run) -> T + Send + 'static) -> T {
        let (reply, answer) = std_mpsc::channel();
        let call = Box::new(move |run: &dyn Run| {
            let _ = reply.send(ask(run));
        });
        assert!(self.calls.send(Call::With(call)).is_ok(), "it is dead");
        answer.recv().expect("it lives")
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.calls.send(Call::End);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the agent panicked");
        }
    }
}

type Key = (String, String);

fn live(dir: PathBuf, manifests: PathBuf, key: Key, trigger: Arc<Trigger>, calls: mpsc::UnboundedReceiver<Call>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let store = Store::open(&dir).unwrap();
        let secrets = Rc::new(SecretFiles::new(&dir));
        let real = RealHost::connect(Rc::clone(&secrets) as Rc<dyn Secrets>).unwrap();
        let docker = Rc::clone(&real.docker);
        let death = Rc::new(Notify::new());
        let host = CrashingHost {
            real,
            trigger,
            death: Rc::clone(&death),
        };
        let agent = Agent::new(host, store, secrets, vec![manifests]).unwrap();
        tokio::task::spawn_local(hear(docker, Rc::clone(&agent)));
        tokio::select! {
            biased;
            () = death.notified() => {}
            () = answer(Rc::clone(&agent), &key, calls) => {}
            why = Rc::clone(&agent).run() => panic!("{why}"),
            () = agent.watch() => {}
        }
    });
    drop(local);
    runtime.shutdown_background();
}

async fn hear(docker: Rc<Docker>, agent: Rc<Agent<CrashingHost>>) {
    loop {
        let _ = docker.watch(|event| agent.hear(&event)).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn answer(agent: Rc<Agent<CrashingHost>>, key: &Key, mut calls: mpsc::UnboundedReceiver<Call>) {
    while let Some(call) = calls.recv().await {
        let runner = agent.runner(key);
        match (call, runner) {
            (Call::End, _) => return,
            (Call::Look(reply), None) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let _ = reply.send(None);
            }
            (Call::Look(reply), Some(runner)) => {
                runner.fresh().await;
                let _ = reply.send(Some(Look {
                    view: runner.view(),
                    plan: runner.plan(),
                }));
            }
            (Call::With(_), None) => panic!("nothing is declared that could be asked"),
            (Call::With(ask), Some(runner)) => ask(&*runner),
        }
    }
}
