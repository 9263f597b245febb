//! What a server does with a statement.

use reconciler::host::{FailureKind, HostError, Secrets};
use reconciler::model::plan::{EngineOp, SqlTarget};
use reconciler::model::postgres::{Down, SqlOp};

use super::accidents::FOREIGN_SLOT;
use super::catalog::Catalog;
use super::container::{By, Phase};
use super::engine::{Done, failed};
use super::wal::Kind;
use super::world::World;

impl World {
    /// The server that a target means, if it lets the agent in.
    pub fn login(&self, target: &SqlTarget) -> Result<usize, (Down, String)> {
        let silent = || (Down::NoAnswer, "it did not answer within 3 s".to_owned());
        let at = self.find(&target.container).ok_or_else(silent)?;
        let container = &self.containers[at];
        let Some(process) = &container.process else {
            return Err(silent());
        };
        if !container.is_awake() || !container.is_connected() || process.slow_until > self.now {
            return Err(silent());
        }
        match process.phase {
            Phase::Entry | Phase::Initialising | Phase::Seeding { .. } => {
                return Err((Down::StartingUp, "its port is not open yet".to_owned()));
            }
            Phase::Starting => return Err((Down::StartingUp, "the database system is starting up".to_owned())),
            Phase::Stopping | Phase::Ending => {
                return Err((Down::ShuttingDown, "the database system is shutting down".to_owned()));
            }
            Phase::Up => {}
        }
        let data = self.data(at).ok_or_else(silent)?;
        let known = self.passwords.peek(&target.password).ok().flatten();
        let Some(known) = known else {
            return Err((Down::PasswordUnknown, "its password is not known any more".to_owned()));
        };
        if process.errors_until > self.now {
            let why = "it answers, with an error: sorry, too many clients already";
            return Err((Down::Errors, why.to_owned()));
        }
        let role = self.catalogs[data.catalog].roles.get("postgres");
        if role.is_none_or(|role| role.password != known) {
            let why = "password authentication failed for user \"postgres\"";
            return Err((Down::PasswordRejected, why.to_owned()));
        }
        Ok(at)
    }

    /// Carries out a statement of the agent.
    pub fn run(&mut self, target: &SqlTarget, op: &SqlOp) -> Done {
        let at = self.login(target).map_err(|(down, why)| {
            let kind = if down == Down::NoAnswer {
                FailureKind::Unreachable
            } else {
                FailureKind::Other
            };
            failed(kind, op, why)
        })?;
        let is_standby = self.containers[at].up().is_some_and(|server| server.in_recovery);
        let writes = matches!(
            op,
            SqlOp::Role(_) | SqlOp::CreateDatabase { .. } | SqlOp::DatabaseOwner { .. } | SqlOp::CreateExtension { .. }
        );
        if writes && is_standby {
            return Err(failed(
                FailureKind::Other,
                op,
                "cannot execute it in a read-only transaction",
            ));
        }
        match op {
            SqlOp::Checkpoint if is_standby => {}
            SqlOp::Checkpoint => self.checkpoint(at),
            SqlOp::Promote => {
                if is_standby {
                    self.check_promotion(at);
                    self.promote(at, By::Agent);
                }
            }
            SqlOp::Reload => self.load(at),
            SqlOp::ResumeReplay => {
                if let Some(server) = self.containers[at].up_mut() {
                    server.replay_paused = false;
                }
            }
            SqlOp::CreateSlot(name) => self.create_slot(at, name),
            SqlOp::DropSlot(name) => return self.drop_slot(at, name, op),
            SqlOp::ResetParameter(name) => {
                if let Some(data) = self.data_mut(at) {
                    data.auto_conf.remove(name);
                }
                self.load(at);
            }
            SqlOp::Role(_)
            | SqlOp::CreateDatabase { .. }
            | SqlOp::DatabaseOwner { .. }
            | SqlOp::CreateExtension { .. } => return self.change_contents(at, op),
            SqlOp::Many(ops) => return self.run_all(target, ops),
            // Its database for maintenance is always there.
            SqlOp::OpenDatabase(_) => {}
            // Its extensions have one version, and are where they are wanted.
            SqlOp::UpdateExtension { .. } | SqlOp::MoveExtension { .. } | SqlOp::TerminateClients => {}
            SqlOp::EndSenders(pids) => self.end_senders(at, Some(pids)),
        }
        Ok(())
    }

    /// One after the other; what fails keeps no other from being done, unless nobody answers any more.
    fn run_all(&mut self, target: &SqlTarget, ops: &[SqlOp]) -> Done {
        let mut outcome = Ok(());
        for op in ops {
            match self.run(target, op) {
                Err(error) if error.kind == FailureKind::Unreachable => return Err(error),
                done => outcome = outcome.and(done),
            }
        }
        outcome
    }

    /// Roles, databases and what is in them.
    fn change_contents(&mut self, at: usize, op: &SqlOp) -> Done {
        match op {
            SqlOp::Role(change) => {
                let password = change.password.as_ref();
                let password = password.map(|secret| match change.create {
                    true => self.make_password(secret),
                    false => self.passwords.reveal(secret),
                });
                let password = password.transpose()?;
                self.change_catalog(at, |catalog| catalog.change(change, password));
            }
            SqlOp::CreateDatabase { name, owner } | SqlOp::DatabaseOwner { name, owner } => {
                let owner = if owner.is_empty() { "postgres" } else { owner };
                self.change_catalog(at, |catalog| {
                    catalog.databases.insert(name.clone(), owner.to_owned());
                });
            }
            SqlOp::CreateExtension { database, name, .. } => self.change_catalog(at, |catalog| {
                catalog
                    .extensions
                    .entry(database.clone())
                    .or_default()
                    .push(name.clone());
            }),
            _ => {}
        }
        Ok(())
    }

    /// The agent promotes through the socket.
    pub fn promote_inside(&mut self, container: &str, op: &EngineOp) -> Done {
        let at = self.inside(container, op)?;
        if self.containers[at].up().is_some_and(|server| server.in_recovery) {
            self.check_promotion(at);
            self.promote(at, By::Agent);
        }
        Ok(())
    }

    /// Asks a standby to become a primary.
    pub fn promote(&mut self, at: usize, by: By) {
        let promoted_at = self.now + self.takes(self.pace.promotion);
        if let Some(server) = self.containers[at].up_mut()
            && server.in_recovery
            && server.promoted_at.is_none()
        {
            server.promoted_at = Some(promoted_at);
            server.promoted_by = Some(by);
        }
    }

    fn drop_slot(&mut self, at: usize, name: &str, op: &SqlOp) -> Done {
        if self.user_of(self.containers[at].serial, name).is_some() {
            let why = format!("replication slot \"{name}\" is active for PID 1");
            return Err(HostError::new(FailureKind::Other, op.to_string(), why));
        }
        if name == FOREIGN_SLOT {
            self.violated(&format!("slot {name} is dropped, and somebody else made it"));
        }
        if let Some(data) = self.data_mut(at) {
            data.slots.remove(name);
        }
        Ok(())
    }

    /// A primary's roles, databases or extensions change.
    pub fn change_catalog(&mut self, at: usize, change: impl FnOnce(&mut Catalog)) {
        let Some(data) = self.data(at) else {
            return;
        };
        let mut catalog = self.catalogs[data.catalog].clone();
        change(&mut catalog);
        self.catalogs.push(catalog);
        self.write(at, 0x200, Kind::Catalog(self.catalogs.len() - 1));
    }
}
