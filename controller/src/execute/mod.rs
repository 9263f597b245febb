//! Walks a chain of a plan. No decision lives here: a step is taken, told, and the first failure ends the chain.

use std::fmt::Display;

use tracing::{debug, warn};

use crate::host::{HostError, Writes};
use crate::model::plan::{Action, Op};

/// Takes the steps of one chain in order. `admit` says before each whether it may be taken still; `remember` writes a change of durable memory before the next step is taken;
/// `tell` hears of every step when it is over. Returns the step that failed and why, if one did.
pub async fn chain<H: Writes, C: Display + Clone>(
    host: &H,
    actions: &[Action<C>],
    admit: impl AsyncFn() -> Result<(), HostError>,
    remember: impl Fn(&C) -> Result<(), HostError>,
    tell: impl Fn(&Action<C>, Option<&HostError>),
) -> Option<(Action<C>, HostError)> {
    for action in actions {
        debug!(step = %action, "taking a step");
        let result = match (admit().await, &action.op) {
            (Err(error), _) => Err(error),
            (Ok(()), Op::Engine(op)) => host.engine(op).await,
            (Ok(()), Op::Sql(target, op)) => host.sql(target, op).await,
            (Ok(()), Op::Grafana(target, op)) => host.change_grafana(target, op).await,
            (Ok(()), Op::Listen(address)) => host.open_door(*address).await,
            (Ok(()), Op::Remember(change)) => remember(change),
        };
        tell(action, result.as_ref().err());
        if let Err(error) = result {
            warn!(step = %action, %error, "a step failed");
            return Some((action.clone(), error));
        }
    }
    None
}
