//! A plan: what is to be done next and why, as a value that prints. The printed text is at once the output of
//! `reconciler plan`, the log line, the event and the oracle of the planner's tests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod words;

use super::container::{ContainerSpec, FileSpec, Limits, NamedSpec};
use super::grafana::{GrafanaOp, GrafanaTarget};
use super::postgres::SqlOp;
use super::secret::SecretRef;

/// One call to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineOp {
    /// Fetches an image from its registry.
    PullImage(String),
    /// Makes a bridge network.
    CreateNetwork(NamedSpec),
    /// Removes a network, by name or id.
    RemoveNetwork(String),
    /// Makes an empty volume.
    CreateVolume(NamedSpec),
    /// Destroys a volume and its data.
    RemoveVolume(String),
    /// Makes a container, without starting it.
    CreateContainer(Box<ContainerSpec>),
    /// Puts files into a container, running or not.
    Deliver(Delivery),
    /// Starts a container.
    Start(String),
    /// Sends a signal to a container's process.
    Signal {
        /// The container.
        container: String,
        /// The signal's name.
        signal: String,
    },
    /// Asks a container to stop, waits, and kills it when the grace is over.
    Stop {
        /// The container.
        container: String,
        /// Seconds until it is killed.
        grace_secs: i64,
    },
    /// Removes a container that does not run. Its volumes stay.
    RemoveContainer(String),
    /// Gives a container another name, whether it runs or not.
    Rename {
        /// The container.
        container: String,
        /// Its new name.
        name: String,
    },
    /// Attaches a container to a network.
    Connect {
        /// The container.
        container: String,
        /// The network.
        network: String,
        /// Its DNS names there.
        aliases: Vec<String>,
    },
    /// Detaches a container from a network, whether it runs or not.
    Disconnect {
        /// The container.
        container: String,
        /// The network.
        network: String,
    },
    /// Thaws a paused container.
    Unpause(String),
    /// Changes CPU and memory in place.
    UpdateLimits {
        /// The container.
        container: String,
        /// The new limits.
        limits: Limits,
    },
    /// Has the server's own program come as far as the data with a configuration, without putting it in force; fails with its
    /// complaint.
    CheckConfig(ConfigCheck),
    /// Puts files aside in a running container and has a program of its image look at them; fails with its complaint.
    CheckFiles(FileCheck),
    /// Removes files in a running container; those that are not there are gone already.
    RemoveFiles {
        /// The container.
        container: String,
        /// Their directory.
        directory: String,
        /// Their paths below it.
        names: Vec<String>,
    },
    /// Gives the administrator of a Grafana another password, with the program that its image has for it.
    ResetAdmin {
        /// Its container, running.
        container: String,
        /// The password.
        password: SecretRef,
    },
    /// Takes passwords that nobody knows any more from whichever container has them. Of one that is in none of them, all of
    /// which could be read, nobody is known to have it: it is made anew.
    RecoverPasswords {
        /// The containers, running or not.
        containers: Vec<String>,
        /// The file in each: libpq's password file, or one that holds nothing but the password.
        path: String,
        /// The roles, and where their passwords are kept.
        passwords: BTreeMap<String, SecretRef>,
    },
    /// Makes a primary of a standby through the socket inside the container, for when no password fits any more: a new
    /// one can only be set on a primary.
    PromoteInside(String),
    /// Ends the WAL senders of a server that is shutting down, which no SQL reaches any more.
    EndSenders {
        /// The container.
        container: String,
        /// The address of the one receiver whose sender is left alone; empty for none.
        spared: String,
    },
    /// Sets a role's password through the socket inside the container, for when no password fits any more.
    ResetPassword {
        /// The container.
        container: String,
        /// The role.
        role: String,
        /// The password to set.
        password: SecretRef,
    },
}

/// A configuration to be looked at by the server's own program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigCheck {
    /// The container that it is done in, beside the server.
    pub container: String,
    /// The text of postgresql.conf.
    pub text: String,
    /// The text of pg_hba.conf.
    pub hba: String,
    /// How many members share the host's huge pages.
    pub members: usize,
    /// Whether what `ALTER SYSTEM` has set there counts too.
    pub is_altered: bool,
}

/// Files to be looked at by a program before they are put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheck {
    /// The container.
    pub container: String,
    /// The directory that they are put to, where nothing reads them but the program.
    pub directory: String,
    /// The files; without secrets.
    pub files: Vec<FileSpec>,
    /// The program and its arguments. An exit code of 1 is a complaint about the files.
    pub command: Vec<String>,
}

/// Files for one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The container.
    pub container: String,
    /// The directory that they go to; it exists afterwards.
    pub directory: String,
    /// The user of the image that owns them.
    pub owner: String,
    /// The files.
    pub files: Vec<FileSpec>,
}

/// Where a statement goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SqlTarget {
    /// The container that the server runs in.
    pub container: String,
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// The password of the superuser.
    pub password: SecretRef,
}

/// One step of a plan. `C` is the kind's own change of durable memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op<C> {
    /// A call to the engine.
    Engine(EngineOp),
    /// A statement to a database.
    Sql(SqlTarget, SqlOp),
    /// A call to a Grafana.
    Grafana(GrafanaTarget, GrafanaOp),
    /// Being asked for the agent's own metrics at one more address.
    Listen(SocketAddr),
    /// A change of durable memory.
    Remember(C),
}

/// A step, whom it concerns and why it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action<C> {
    /// The member, volume or network that it concerns.
    pub subject: String,
    /// What is done.
    pub op: Op<C>,
    /// Why, in words that a user reads.
    pub cause: String,
    /// Whether what else is done to the subject goes on beside it.
    pub is_aside: bool,
    /// Whether it puts back what somebody else changed.
    #[serde(default)]
    pub is_drift: bool,
}

impl<C> Action<C> {
    /// A step with its reason.
    pub fn new(subject: &str, op: Op<C>, cause: impl Into<String>) -> Self {
        Action {
            subject: subject.to_owned(),
            op,
            cause: cause.into(),
            is_aside: false,
            is_drift: false,
        }
    }

    /// The same, which puts back what somebody else changed.
    pub fn drift(self) -> Self {
        Action { is_drift: true, ..self }
    }

    /// The same, for which nothing else of its subject has to wait.
    pub fn aside(self) -> Self {
        Action { is_aside: true, ..self }
    }

    /// What no two chains do at a time.
    pub fn lane(&self) -> String {
        match self.is_aside {
            true => format!("{} aside", self.subject),
            false => self.subject.clone(),
        }
    }

    /// Whether it gets in the way of nothing else that is done to the same or another subject, however long it takes.
    pub fn disturbs_nobody(&self) -> bool {
        match &self.op {
            Op::Sql(_, op) => *op == SqlOp::Checkpoint,
            Op::Remember(_) => self.is_aside,
            Op::Engine(op) => self.is_aside && matches!(op, EngineOp::CheckConfig(_)),
            Op::Grafana(..) => false,
            Op::Listen(_) => true,
        }
    }

    /// Whether it only finds out whether a member would start again as it runs.
    pub fn is_look_ahead(&self) -> bool {
        matches!(&self.op, Op::Engine(EngineOp::CheckConfig(check)) if check.is_altered)
    }

    /// A call to the engine with its reason.
    pub fn engine(subject: &str, op: EngineOp, cause: impl Into<String>) -> Self {
        Action::new(subject, Op::Engine(op), cause)
    }
}

/// Why a plan does less than everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// Goes on by itself when something has happened.
    Waiting {
        /// Whom it concerns.
        subject: String,
        /// For what.
        reason: String,
    },
    /// Goes on when somebody has removed an obstacle.
    Blocked {
        /// Whom it concerns.
        subject: String,
        /// The obstacle in one CamelCase word, the condition's reason.
        code: String,
        /// The obstacle and the way round it.
        reason: String,
    },
    /// Goes on when somebody has decided.
    NeedsConfirmation {
        /// Whom it concerns.
        subject: String,
        /// What has to be decided, and the command for it.
        reason: String,
    },
}

/// What is to be done in one pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan<C> {
    /// Independent sequences; within one, a step is taken only when the one before it succeeded.
    pub chains: Vec<Vec<Action<C>>>,
    /// Why it does less than everything.
    pub notes: Vec<Note>,
    /// When to look again, if earlier than usual.
    pub look_again: Option<Duration>,
    /// Whether its steps are taken only when no step of an earlier plan is still under way but those of others like it.
    pub exclusive: bool,
}

impl<C> Default for Plan<C> {
    fn default() -> Self {
        Plan {
            chains: Vec::new(),
            notes: Vec::new(),
            look_again: None,
            exclusive: false,
        }
    }
}

impl<C> Plan<C> {
    /// Adds a sequence of steps; an empty one is dropped.
    pub fn chain(&mut self, actions: Vec<Action<C>>) {
        if !actions.is_empty() {
            self.chains.push(actions);
        }
    }

    /// Adds a single step.
    pub fn step(&mut self, action: Action<C>) {
        self.chains.push(vec![action]);
    }

    /// Notes that `subject` waits for something that comes by itself.
    pub fn wait(&mut self, subject: &str, reason: impl Into<String>) {
        self.notes.push(Note::Waiting {
            subject: subject.to_owned(),
            reason: reason.into(),
        });
    }

    /// Notes that `subject` cannot go on until somebody removes an obstacle.
    pub fn block(&mut self, subject: &str, code: &str, reason: impl Into<String>) {
        self.notes.push(Note::Blocked {
            subject: subject.to_owned(),
            code: code.to_owned(),
            reason: reason.into(),
        });
    }

    /// Notes that somebody has to decide.
    pub fn confirm(&mut self, subject: &str, reason: impl Into<String>) {
        self.notes.push(Note::NeedsConfirmation {
            subject: subject.to_owned(),
            reason: reason.into(),
        });
    }

    /// Asks for the next pass after `delay` at the latest.
    pub fn again_in(&mut self, delay: Duration) {
        self.look_again = Some(self.look_again.map_or(delay, |earlier| earlier.min(delay)));
    }

    /// All steps.
    pub fn actions(&self) -> impl Iterator<Item = &Action<C>> {
        self.chains.iter().flatten()
    }

    /// The steps towards what is wanted. A look ahead at what a member would start with is none, and neither is a note taken
    /// aside: both leave all as it is, and come again and again on a host where nothing is left to do.
    pub fn differences(&self) -> impl Iterator<Item = &Action<C>> {
        let is_note = |action: &Action<C>| action.is_aside && matches!(action.op, Op::Remember(_));
        let changes = move |chain: &&Vec<Action<C>>| {
            !chain.first().is_some_and(Action::is_look_ahead) && !chain.iter().all(is_note)
        };
        self.chains.iter().filter(changes).flatten()
    }

    /// Whether nothing is done. Says nothing about whether all is well: see the notes.
    pub fn is_idle(&self) -> bool {
        self.chains.is_empty()
    }

    /// Whether a step concerns `subject`, other than aside.
    pub fn touches(&self, subject: &str) -> bool {
        self.actions()
            .any(|action| action.subject == subject && !action.is_aside)
    }
}
