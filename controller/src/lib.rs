//! `reconciler`: a Kubernetes-style controller for hosts that run plain Docker.
//!
//! One direction: manifests become typed desired state, a look at the world becomes an observed snapshot, both go into
//! a pure function, which returns a plan, a value that prints; an executor without decisions walks it; status says what
//! happened. The next pass looks at the world again, so nothing has to be remembered but intent.
//!
//! ```text
//! manifests -> wanted ---\
//!                         plan(wanted, observed, memory, now) -> plan -> execute -> events, status
//! docker, postgres -> observed -/                                           |
//!          ^                                                                |
//!          '--------------------- the next pass looks again ----------------'
//! ```
//!
//! | room | what lives there | effects |
//! |---|---|---|
//! | [`manifest`] | YAML text to validated documents; every error with its line | reads files |
//! | [`model`] | the words that all rooms share | none |
//! | [`kinds`] | what a user can declare: one folder a kind, with `spec`, `observe`, `plan`, `status` | only `observe`, through `host` |
//! | [`converge`] | what all kinds do alike: networks, images, containers without a role | none |
//! | [`execute`] | walks one chain of a plan | through `host` |
//! | [`host`] | Docker, PostgreSQL, Grafana, what speaks HTTP; the only room that names their crates | all of them |
//! | [`store`] | durable memory and generated passwords | files |
//! | [`agent`] | queue, passes, wake-ups | through the others |
//! | [`server`] | the API on the unix socket; metrics and the page of alerts on TCP | sockets |
//! | [`cli`] | one file a command, the verb its name | prints |
//!
//! What differs from the usual shape: a pass does not wait for the steps that it begins (`agent::runner`). A member that
//! takes a minute to stop would keep all others waiting; instead, later passes leave alone what is under way.

pub mod agent;
pub mod cli;
pub mod converge;
pub mod execute;
pub mod host;
pub mod kinds;
pub mod manifest;
pub mod model;
pub mod server;
pub mod store;
