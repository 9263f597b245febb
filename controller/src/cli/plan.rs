//! `reconciler plan`: what would be done and why. Without `-f` the agent says it; with `-f` the world is looked at from
//! here, so that it works before there is an agent.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::client::Client;
use super::error::{CommandError, CommandResult, Exit, failed};
use super::output::{Format, print, print_for_scripts};
use super::validate;
use crate::agent::clock::Clock;
use crate::agent::view::PlanView;
use crate::host::real::RealHost;
use crate::host::{AgentRead, EngineRead, FailureKind, HostError, Secrets};
use crate::kinds::monitoring::Monitoring;
use crate::kinds::peers::{Peer, Peers};
use crate::kinds::postgres::Postgres;
use crate::kinds::{Identity, Kind, Look, Scene};
use crate::manifest::load::Document;
use crate::model::claim::{self, Claim, Claimant, Liveness};
use crate::model::{SecretRef, Seen};
use crate::store::{self, Record, SecretFiles};

/// Prints the plan. Exit code 0 when all is as wanted, 3 when something is to be done, waited for or decided.
pub async fn plan(client: &Client, state_dir: &Path, files: &[PathBuf], format: Format) -> CommandResult {
    let plans: Vec<PlanView> = if files.is_empty() {
        client.get("/v1/plans").await?
    } else {
        local(state_dir, &validate::documents(files)?).await?
    };
    if !print_for_scripts(&plans, format)? {
        show(&plans)?;
    }
    if plans
        .iter()
        .any(|plan| !plan.steps.is_empty() || !plan.notes.is_empty())
    {
        return Err(CommandError::silent(Exit::Differences));
    }
    Ok(())
}

fn show(plans: &[PlanView]) -> CommandResult {
    for plan in plans {
        print(&format!("{}/{}:", plan.kind, plan.name))?;
        for line in plan.steps.iter().chain(&plan.notes) {
            print(&format!("  {line}"))?;
        }
        if plan.steps.is_empty() && plan.notes.is_empty() {
            print("  nothing to do")?;
        }
    }
    Ok(())
}

/// Secrets that can be read and never come into being: planning changes nothing.
struct ReadOnly(SecretFiles);

impl Secrets for ReadOnly {
    fn reveal(&self, secret: &SecretRef) -> Result<String, HostError> {
        let missing = || {
            HostError::new(
                FailureKind::NotFound,
                format!("read the password in {secret}"),
                "there is none",
            )
        };
        self.peek(secret)?.ok_or_else(missing)
    }

    fn peek(&self, secret: &SecretRef) -> Result<Option<String>, HostError> {
        self.0.peek(secret)
    }
}

async fn local(state_dir: &Path, documents: &[Document]) -> Result<Vec<PlanView>, CommandError> {
    let secrets = Rc::new(ReadOnly(SecretFiles::new(state_dir)));
    let host = RealHost::connect(secrets).map_err(failed)?;
    let records = store::look(state_dir).map_err(failed)?;
    let owners = host.owners().await.map_err(failed)?;
    let me = store::identity(state_dir);
    let mut plans = Vec::new();
    let mut peers = Peers::default();
    for document in documents {
        let record = records
            .iter()
            .find(|r| r.kind == document.kind && r.name == document.name);
        let owner = owners
            .iter()
            .find(|o| o.kind == document.kind && o.name == document.name);
        let uid = record.map(|r| &r.uid).or(owner.map(|o| &o.uid)).cloned();
        // No object carries this one: nothing of the resource exists.
        let uid = uid.unwrap_or_else(|| "none".to_owned());
        if let Some(held) = held_by_another(&host, &me, document).await? {
            plans.push(held);
            continue;
        }
        let plan = match document.kind.as_str() {
            Postgres::NAME => one::<Postgres>(&host, document, (record, uid), &mut peers).await?,
            Monitoring::NAME => one::<Monitoring>(&host, document, (record, uid), &mut peers).await?,
            other => return Err(failed(format!("there is no kind {other}"))),
        };
        plans.push(plan);
    }
    Ok(plans)
}

/// What is to be said instead of a plan where another agent has the resource.
async fn held_by_another(
    host: &RealHost,
    me: &Claimant,
    document: &Document,
) -> Result<Option<PlanView>, CommandError> {
    let me = Claimant {
        container: host.own_container().await.unwrap_or_default(),
        ..me.clone()
    };
    let name = claim::volume_name(&document.kind, &document.name);
    let found = host.volume_labels(&name).await.map_err(failed)?;
    let claim = found.as_ref().and_then(Claim::read);
    let Some(claim) = claim.filter(|claim| !me.is(&claim.holder)) else {
        return Ok(None);
    };
    let (liveness, _) = host.agent(&me, &claim, (&document.kind, &document.name)).await;
    if liveness == Liveness::Gone {
        return Ok(None);
    }
    let why = format!("{} has it; name its --state-dir", claim.holder.shown());
    Ok(Some(PlanView {
        kind: document.kind.clone(),
        name: document.name.clone(),
        steps: Vec::new(),
        notes: vec![format!("{}: blocked, {why}", document.name)],
    }))
}

async fn one<K: Kind>(
    host: &RealHost,
    document: &Document,
    (record, uid): (Option<&Record>, String),
    peers: &mut Peers,
) -> Result<PlanView, CommandError> {
    let changed = record.is_none_or(|r| r.spec != document.spec || r.files != document.files);
    let identity = Identity {
        name: document.name.clone(),
        uid,
        generation: record.map_or(0, |r| r.generation) + u64::from(changed),
    };
    let wanted = K::wanted(identity, document.spec.clone(), &document.files).map_err(failed)?;
    let memory = record.map(|r| r.memory.clone()).filter(|m| !m.is_null());
    let memory: K::Memory = memory
        .map(serde_json::from_value)
        .transpose()
        .map_err(failed)?
        .unwrap_or_default();
    let observed = K::observe(
        host,
        &wanted,
        &memory,
        &K::Observed::default(),
        Look {
            deep: true,
            now: Clock::Machine.now(),
            late_secs: 0,
            peers,
        },
    )
    .await
    .map_err(failed)?;
    let scene = Scene {
        wanted: &wanted,
        observed: &observed,
        memory: &memory,
        now: Clock::Machine.now(),
        is_declared: true,
    };
    let plan = K::plan(&scene);
    let face = K::face(&scene, &K::status(&scene, &plan));
    peers.0.push(Peer {
        kind: K::NAME,
        name: document.name.clone(),
        labels: document.labels.clone(),
        is_leaving: false,
        face: face.map_or_else(Seen::default, Seen::Known),
    });
    Ok(PlanView {
        kind: document.kind.clone(),
        name: document.name.clone(),
        steps: plan.differences().map(ToString::to_string).collect(),
        notes: plan.notes.iter().map(ToString::to_string).collect(),
    })
}
