//! The command line: one file a command or a family of them. What a command decides lives elsewhere; here it is asked
//! for and shown.

pub mod client;
pub mod connect;
pub mod error;
pub mod events;
pub mod manage;
pub mod output;
pub mod plan;
pub mod promote;
pub mod reach;
pub mod reseed;
pub mod run;
pub mod schema;
pub mod status;
pub mod take_over;
pub mod validate;
pub mod volumes;
pub mod wait;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

use self::client::Client;
use self::error::{CommandError, CommandResult, Exit};
use self::output::{Format, print};
use crate::manifest::quantity::parse_duration;

/// Keeps databases on a plain Docker host as their manifests say.
#[derive(Debug, Parser)]
#[command(
    name = "reconciler",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or invalid input, 3 differences (plan), \
                  4 refused for safety, 5 agent not reachable"
)]
pub struct Arguments {
    /// Where the agent keeps its memory, its passwords and its socket
    #[arg(
        long,
        global = true,
        env = "RECONCILER_STATE_DIR",
        default_value = "/var/lib/reconciler"
    )]
    pub state_dir: PathBuf,
    /// What is to be done
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent: make the host match the manifests, and keep it so
    Run {
        /// The manifests
        #[command(flatten)]
        manifests: Manifests,
        /// Where it is asked for its metrics
        #[command(flatten)]
        metrics: MetricsAt,
    },
    /// Start the agent in the background unless it runs, wait until all is ready, print the status
    Up {
        /// The manifests
        #[command(flatten)]
        manifests: Manifests,
        /// Where the agent is asked for its metrics
        #[command(flatten)]
        metrics: MetricsAt,
        /// How long to wait
        #[arg(long, default_value = "10m", value_parser = parse_duration)]
        timeout: Duration,
    },
    /// Check manifests: all errors at once
    Validate(Manifests),
    /// Show what would be done and why, without doing it
    Plan {
        /// Manifests to plan for without an agent
        #[arg(short, long)]
        file: Vec<PathBuf>,
        /// How to print it
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Show members, conditions and the operation in progress
    Status {
        /// A resource; all of them if none is named
        name: Option<String>,
        /// How to print it
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// List resources of a kind
    Get {
        /// KIND, KIND/NAME or `all`
        what: String,
        /// How to print them
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Show all that is known of a resource
    Describe {
        /// The resource
        name: Option<String>,
    },
    /// Show what happened
    Events {
        /// A resource; all of them if none is named
        name: Option<String>,
        /// Go on showing what happens
        #[arg(short, long)]
        follow: bool,
        /// How to print them
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Wait until a condition holds
    Wait {
        /// The resource; the only one if none is named
        name: Option<String>,
        /// The condition, such as `Ready` or `PrimaryAvailable=False`
        #[arg(long = "for", default_value = "Ready")]
        condition: String,
        /// How long to wait
        #[arg(long, default_value = "60s", value_parser = parse_duration)]
        timeout: Duration,
    },
    /// Show how clients reach a cluster: URIs by role, for containers and for the host
    Connect(connect::Connect),
    /// Make a member the primary, without losing an acknowledged write
    Promote(promote::Promote),
    /// Give a replica a new volume with new data; the old volume is kept
    Reseed(reseed::Reseed),
    /// List the volumes and what becomes of those that are not used any more
    Volumes(volumes::Volumes),
    /// Look after a resource that another agent has looked after, which does not run any more
    TakeOver(take_over::TakeOver),
    /// Leave a resource alone until it is resumed
    Pause {
        /// The resource
        name: String,
    },
    /// End a pause
    Resume {
        /// The resource
        name: String,
    },
    /// Restart a member, or all members of a cluster, replicas first
    Restart {
        /// A member or a resource
        what: String,
        /// The cluster, where several have a member of this name
        #[arg(long)]
        cluster: Option<String>,
        /// How long to wait
        #[arg(long, default_value = "5m", value_parser = parse_duration)]
        timeout: Duration,
    },
    /// Remove a resource that no manifest declares any more
    Delete {
        /// KIND/NAME
        name: String,
        /// Destroy its volumes and generated passwords too
        #[arg(long)]
        purge_data: bool,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// How long to wait
        #[arg(long, default_value = "5m", value_parser = parse_duration)]
        timeout: Duration,
    },
    /// Show a member's log
    Logs {
        /// The member
        member: String,
        /// The cluster, where several have a member of this name
        #[arg(long)]
        cluster: Option<String>,
        /// How many of the last lines
        #[arg(long, default_value_t = 100)]
        tail: u32,
        /// Go on showing what is logged
        #[arg(short, long)]
        follow: bool,
    },
    /// Open psql in a member's container, as the superuser
    Psql {
        /// The member; the primary if none is named
        member: Option<String>,
        /// The cluster, where there are several
        #[arg(long)]
        cluster: Option<String>,
        /// Arguments for psql
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Print the JSON Schema of a kind
    Schema {
        /// The kind; their names if none is named
        kind: Option<String>,
    },
    /// Explain a kind or a field, such as `PostgresCluster.spec.ports`
    Explain {
        /// KIND or KIND.FIELD.FIELD
        path: String,
    },
    /// Print the version
    Version,
    /// Print a completion script
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where manifests are.
#[derive(Debug, Clone, clap::Args)]
pub struct Manifests {
    /// A file or a directory; may be given several times
    #[arg(short, long = "file", required = true)]
    pub file: Vec<PathBuf>,
}

/// Where the agent is asked for its metrics.
#[derive(Debug, Clone, clap::Args)]
pub struct MetricsAt {
    /// The address and port for the agent's own metrics, or `none`
    #[arg(long, env = "RECONCILER_METRICS_ADDRESS", default_value_t = default_address())]
    pub metrics_address: String,
}

fn default_address() -> String {
    format!("127.0.0.1:{}", crate::server::metrics::PORT)
}

impl MetricsAt {
    /// The address; nothing for `none`.
    pub fn address(&self) -> Result<Option<SocketAddr>, CommandError> {
        let text = &self.metrics_address;
        if text == "none" {
            return Ok(None);
        }
        let wrong = |_| {
            CommandError::new(
                Exit::Invalid,
                format!("`{text}` is no address and port, such as 127.0.0.1:9186"),
            )
        };
        text.parse().map(Some).map_err(wrong)
    }
}

/// Does what was asked for.
pub async fn dispatch(arguments: Arguments) -> CommandResult {
    let state_dir = arguments.state_dir;
    let client = Client::new(&state_dir);
    let client = &client;
    match arguments.command {
        Command::Run { manifests, metrics } => run::run(&state_dir, manifests.file, metrics.address()?).await,
        Command::Up {
            manifests,
            metrics,
            timeout,
        } => run::up(client, (&state_dir, &metrics), &manifests.file, timeout).await,
        Command::Validate(manifests) => validate::validate(&manifests.file),
        Command::Plan { file, output } => plan::plan(client, &state_dir, &file, output).await,
        Command::Status { name, output } => status::status(client, name.as_deref(), output).await,
        Command::Get { what, output } => status::get(client, &what, output).await,
        Command::Describe { name } => status::describe(client, name.as_deref(), &state_dir).await,
        Command::Events { name, follow, output } => events::events(client, name.as_deref(), follow, output).await,
        Command::Wait {
            name,
            condition,
            timeout,
        } => wait::wait(client, name.as_deref(), &condition, timeout).await,
        Command::Connect(ask) => connect::connect(client, &ask).await,
        Command::Promote(ask) => promote::promote(client, &ask).await,
        Command::Reseed(ask) => reseed::reseed(client, &ask).await,
        Command::Volumes(ask) => volumes::volumes(client, &state_dir, &ask).await,
        Command::TakeOver(ask) => take_over::take_over(client, &ask).await,
        Command::Pause { name } => manage::pause(client, &name, true).await,
        Command::Resume { name } => manage::pause(client, &name, false).await,
        Command::Restart { what, cluster, timeout } => {
            manage::restart(client, &what, cluster.as_deref(), timeout).await
        }
        Command::Delete {
            name,
            purge_data,
            yes,
            timeout,
        } => manage::delete(client, &name, purge_data, yes, timeout).await,
        Command::Logs {
            member,
            cluster,
            tail,
            follow,
        } => reach::logs(client, &state_dir, &member, cluster.as_deref(), tail, follow).await,
        Command::Psql {
            member,
            cluster,
            arguments,
        } => reach::psql(client, member.as_deref(), cluster.as_deref(), &arguments).await,
        Command::Schema { kind } => schema::schema(kind.as_deref()),
        Command::Explain { path } => schema::explain(&path),
        Command::Version => print(&format!("reconciler {}", env!("CARGO_PKG_VERSION"))),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "reconciler", &mut std::io::stdout());
            Ok(())
        }
    }
}
