//! Answers calls on the agent's own thread.

use std::fmt::Debug;
use std::path::PathBuf;
use std::rc::Rc;

use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Ask, Call, Refusal};
use crate::agent::Agent;
use crate::agent::runner::Run;
use crate::agent::view::{AgentView, Overview, PlanView, ResourceView};
use crate::host::{Reads, Writes};

/// Answers calls, each in a task of its own, for ever.
pub async fn serve_calls<H: Reads + Writes + Debug + 'static>(agent: Rc<Agent<H>>, mut calls: mpsc::Receiver<Call>) {
    while let Some(Call { ask, reply }) = calls.recv().await {
        let agent = Rc::clone(&agent);
        tokio::task::spawn_local(async move {
            let answer = answer(&agent, ask).await;
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        });
    }
}

async fn answer<H: Reads + Writes + Debug + 'static>(agent: &Agent<H>, ask: Ask) -> Result<Value, Refusal> {
    match ask {
        Ask::Overview { fresh } => {
            let runners = agent.runners();
            if fresh {
                join_all(runners.iter().map(|runner| runner.fresh())).await;
            }
            value(&overview(agent, &runners))
        }
        Ask::Plans => {
            let runners = agent.runners();
            join_all(runners.iter().map(|runner| runner.fresh())).await;
            let plans: Vec<PlanView> = runners.iter().map(|runner| runner.plan()).collect();
            value(&plans)
        }
        Ask::Metrics => Ok(Value::String(agent.metrics())),
        Ask::Request(kind, name, request) => {
            let runner = find(agent, kind, name)?;
            runner.fresh().await;
            value(&runner.request(&request))
        }
        Ask::Pause(kind, name, paused) => {
            let runner = find(agent, kind, name)?;
            runner.set_paused(paused).map_err(|error| refused(error.to_string()))?;
            Ok(Value::Null)
        }
        Ask::TakeOver(kind, name, force) => {
            let taken = find(agent, kind, name)?.take_over(force).await;
            taken.map(Value::String).map_err(refused)
        }
        Ask::Delete(kind, name, purge) => {
            find(agent, kind, name)?.delete(purge).map_err(refused)?;
            Ok(Value::Null)
        }
    }
}

fn overview<H: Reads + Writes + Debug + 'static>(agent: &Agent<H>, runners: &[Rc<dyn Run>]) -> Overview {
    let text = |path: &PathBuf| path.display().to_string();
    let resources: Vec<ResourceView> = runners.iter().map(|runner| runner.view()).collect();
    Overview {
        agent: AgentView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            state_dir: agent.shared.store.dir().display().to_string(),
            manifests: agent.paths.iter().map(text).collect(),
            problems: agent.problems(),
            passes: agent.shared.passes.get(),
            metrics: agent.shared.host.open_doors().iter().map(ToString::to_string).collect(),
        },
        resources,
    }
}

fn find<H: Reads + Writes + Debug + 'static>(
    agent: &Agent<H>,
    kind: String,
    name: String,
) -> Result<Rc<dyn Run>, Refusal> {
    let message = format!("there is no {kind}/{name}");
    agent.runner(&(kind, name)).ok_or(Refusal {
        refused: false,
        message,
    })
}

fn refused(message: String) -> Refusal {
    Refusal { refused: true, message }
}

fn value<T: Serialize>(view: &T) -> Result<Value, Refusal> {
    serde_json::to_value(view).map_err(|error| refused(error.to_string()))
}
