//! What a server answers to the agent, and does for it.

use std::time::Duration;

use reconciler::host::{HostError, PostgresRead, PostgresWrite};
use reconciler::kinds::postgres::memory::{Memory, Promotion};
use reconciler::model::plan::SqlTarget;
use reconciler::model::postgres::{Down, PgQuestion, Server, SqlOp};
use reconciler::store::Store;
use tokio::time::sleep;

use super::super::invariants::Glimpse;
use super::super::rivals::claimant;
use super::SimHost;

impl SimHost {
    /// What the agent has on record of the cluster.
    pub fn memory(&self) -> Option<Memory> {
        let (records, _) = Store::on(self.shelf(), claimant(self.number())).load().ok()?;
        serde_json::from_value(records.first()?.memory.clone()).ok()
    }
}

impl PostgresRead for SimHost {
    async fn server(&self, target: &SqlTarget, question: &PgQuestion) -> Server {
        self.latency((2, 10)).await;
        let answer = self.see(|world| {
            let fails = world.faults.of_read(&mut world.rng);
            let answer = match world.login(target) {
                _ if fails => Server::Down(Down::NoAnswer, "it broke off".to_owned()),
                Err((down, why)) => Server::Down(down, why),
                Ok(at) => match world.facts(at, question) {
                    Some(facts) => Server::Up(Box::new(facts)),
                    None => Server::Down(Down::NoAnswer, "it broke off".to_owned()),
                },
            };
            let glimpse = match &answer {
                Server::Up(facts) if facts.in_recovery => Glimpse::Standby,
                Server::Up(_) => Glimpse::Primary,
                Server::Down(Down::NoAnswer, _) => Glimpse::Unknown,
                Server::Down(..) => Glimpse::Busy,
            };
            if let Some(at) = world.find(&target.container) {
                let name = world.containers[at].seen.name.clone();
                world.watch.glimpses.insert(name, glimpse);
            }
            answer
        });
        if matches!(answer, Server::Down(Down::NoAnswer, _)) {
            sleep(Duration::from_millis(2_990)).await;
        }
        answer
    }
}

impl PostgresWrite for SimHost {
    async fn sql(&self, target: &SqlTarget, op: &SqlOp) -> Result<(), HostError> {
        if *op == SqlOp::Promote {
            let memory = self.memory();
            self.see(|world| {
                let primary = memory.as_ref().and_then(|memory| memory.primary.clone());
                let asked = memory.and_then(|memory| memory.promotion);
                // It is asked again after a while.
                let is_second = |asked: &Promotion| asked.requested && asked.sent_at < world.seconds() - 1;
                // Who is the recorded primary was asked, and took over, before.
                world.watch.asked_before = asked.filter(is_second).map(|asked| asked.to).or(primary);
            });
        }
        self.call(op.to_string(), (1, 8), None, |world| world.run(target, op))
            .await
    }
}
