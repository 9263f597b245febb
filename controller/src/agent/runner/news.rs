//! Which steps are worth an event, and the event's reason.

use crate::model::grafana::GrafanaOp;
use crate::model::plan::{EngineOp, Op};
use crate::model::postgres::SqlOp;

/// The reason of the event for a call to the engine.
pub fn engine(op: &EngineOp) -> Option<&'static str> {
    Some(match op {
        EngineOp::PullImage(_) => "Pulled",
        EngineOp::CreateNetwork(_) | EngineOp::CreateVolume(_) | EngineOp::CreateContainer(_) => "Created",
        EngineOp::RemoveNetwork(_)
        | EngineOp::RemoveVolume(_)
        | EngineOp::RemoveContainer(_)
        | EngineOp::RemoveFiles { .. } => "Removed",
        EngineOp::Deliver(_) => "Delivered",
        EngineOp::Rename { .. } => "Renamed",
        EngineOp::Start(_) => "Started",
        EngineOp::Signal { .. } => "Signalled",
        EngineOp::Stop { .. } => "Stopped",
        EngineOp::Connect { .. } => "Connected",
        EngineOp::Disconnect { .. } => "Disconnected",
        EngineOp::Unpause(_) => "Unpaused",
        EngineOp::UpdateLimits { .. } => "Updated",
        EngineOp::RecoverPasswords { .. } => "PasswordsRecovered",
        EngineOp::PromoteInside(_) => "PromotionRequested",
        EngineOp::EndSenders { .. } => "ReceiversDisconnected",
        EngineOp::ResetPassword { .. } | EngineOp::ResetAdmin { .. } => "PasswordReset",
        EngineOp::CheckConfig(_) | EngineOp::CheckFiles(_) => return None,
    })
}

/// The reason of the event for a statement.
pub fn sql(op: &SqlOp) -> Option<&'static str> {
    Some(match op {
        SqlOp::Promote => "PromotionRequested",
        SqlOp::Many(_) => "ContentsChanged",
        SqlOp::Reload => "Reloaded",
        SqlOp::ResumeReplay => "Resumed",
        SqlOp::CreateSlot(_) | SqlOp::CreateDatabase { .. } | SqlOp::CreateExtension { .. } => "Created",
        SqlOp::DropSlot(_) => "Removed",
        SqlOp::ResetParameter(_) => "Reset",
        SqlOp::Role(role) if role.create => "Created",
        SqlOp::Role(_) | SqlOp::DatabaseOwner { .. } | SqlOp::OpenDatabase(_) => "Altered",
        SqlOp::UpdateExtension { .. } | SqlOp::MoveExtension { .. } => "Altered",
        SqlOp::TerminateClients => "ClientsDisconnected",
        SqlOp::EndSenders(_) => "ReceiversDisconnected",
        SqlOp::Checkpoint => return None,
    })
}

/// The reason of the event for a call to a Grafana.
pub fn grafana(op: &GrafanaOp) -> &'static str {
    match op {
        GrafanaOp::PutDatasource { version: None, .. }
        | GrafanaOp::PutFolder { version: None, .. }
        | GrafanaOp::PutDashboard { version: None, .. } => "Created",
        GrafanaOp::PutDatasource { .. }
        | GrafanaOp::PutFolder { .. }
        | GrafanaOp::PutDashboard { .. }
        | GrafanaOp::RaiseFolder { .. } => "Updated",
        GrafanaOp::DeleteDashboard { .. } => "Removed",
    }
}

/// What somebody else had changed, where a step puts it back.
pub fn drift<C>(op: &Op<C>) -> &'static str {
    match op {
        Op::Engine(EngineOp::Deliver(_)) => "file",
        Op::Engine(_) => "container",
        Op::Sql(_, SqlOp::ResetParameter(_)) => "parameter",
        Op::Sql(_, SqlOp::Role(_)) => "role",
        Op::Sql(..) => "contents",
        Op::Grafana(_, GrafanaOp::PutDatasource { .. }) => "datasource",
        Op::Grafana(_, GrafanaOp::PutFolder { .. } | GrafanaOp::RaiseFolder { .. }) => "folder",
        Op::Grafana(_, GrafanaOp::PutDashboard { .. } | GrafanaOp::DeleteDashboard { .. }) => "dashboard",
        Op::Listen(_) | Op::Remember(_) => "agent",
    }
}
