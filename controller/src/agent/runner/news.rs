//! Which steps are worth an event, and the event's reason.

use crate::model::plan::EngineOp;
use crate::model::postgres::SqlOp;

/// The reason of the event for a call to the engine.
pub fn engine(op: &EngineOp) -> Option<&'static str> {
    Some(match op {
        EngineOp::PullImage(_) => "Pulled",
        EngineOp::CreateNetwork(_) | EngineOp::CreateVolume(_) | EngineOp::CreateContainer(_) => "Created",
        EngineOp::RemoveNetwork(_) | EngineOp::RemoveVolume(_) | EngineOp::RemoveContainer(_) => "Removed",
        EngineOp::Deliver(_) => "Delivered",
        EngineOp::Start(_) => "Started",
        EngineOp::Signal { .. } => "Signalled",
        EngineOp::Stop { .. } => "Stopped",
        EngineOp::Connect { .. } => "Connected",
        EngineOp::Disconnect { .. } => "Disconnected",
        EngineOp::Unpause(_) => "Unpaused",
        EngineOp::UpdateLimits { .. } => "Updated",
        EngineOp::RecoverPasswords { .. } => "PasswordsRecovered",
        EngineOp::PromoteInside(_) => "PromotionRequested",
        EngineOp::ResetPassword { .. } => "PasswordReset",
        EngineOp::CheckConfig { .. } | EngineOp::CheckFiles(_) => return None,
    })
}

/// The reason of the event for a statement.
pub fn sql(op: &SqlOp) -> Option<&'static str> {
    Some(match op {
        SqlOp::Promote => "PromotionRequested",
        SqlOp::Reload => "Reloaded",
        SqlOp::ResumeReplay => "Resumed",
        SqlOp::CreateSlot(_) | SqlOp::CreateDatabase { .. } | SqlOp::CreateExtension { .. } => "Created",
        SqlOp::DropSlot(_) => "Removed",
        SqlOp::ResetParameter(_) => "Reset",
        SqlOp::Role(role) if role.create => "Created",
        SqlOp::Role(_) | SqlOp::DatabaseOwner { .. } => "Altered",
        SqlOp::TerminateClients => "ClientsDisconnected",
        SqlOp::Checkpoint => return None,
    })
}
