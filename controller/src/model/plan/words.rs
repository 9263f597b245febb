//! How a plan reads.

use std::fmt;

use super::{Action, EngineOp, Note, Op, Plan};

impl fmt::Display for EngineOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineOp::PullImage(image) => write!(f, "pull image {image}"),
            EngineOp::CreateNetwork(spec) => write!(f, "create network {}", spec.name),
            EngineOp::RemoveNetwork(name) => write!(f, "remove network {name}"),
            EngineOp::CreateVolume(spec) => write!(f, "create volume {}", spec.name),
            EngineOp::RemoveVolume(name) => write!(f, "remove volume {name}"),
            EngineOp::CreateContainer(spec) => write!(f, "create container {}", spec.name),
            EngineOp::Deliver(delivery) => {
                let names: Vec<&str> = delivery.files.iter().map(|f| f.name.as_str()).collect();
                write!(f, "deliver {}", names.join(", "))
            }
            EngineOp::Start(_) => write!(f, "start container"),
            EngineOp::Signal { signal, .. } => write!(f, "send {signal}"),
            EngineOp::Stop { grace_secs, .. } => write!(f, "stop container ({grace_secs} s grace)"),
            EngineOp::RemoveContainer(_) => write!(f, "remove container"),
            EngineOp::Rename { container, name } => write!(f, "rename container {container} to {name}"),
            EngineOp::Connect { network, aliases, .. } => {
                write!(f, "connect to network {network} as {}", aliases.join(", "))
            }
            EngineOp::Disconnect { network, .. } => write!(f, "disconnect from network {network}"),
            EngineOp::Unpause(_) => write!(f, "unpause container"),
            EngineOp::UpdateLimits { .. } => write!(f, "update cpu and memory limits"),
            EngineOp::CheckConfig(check) if check.is_altered => write!(f, "check whether it would start again"),
            EngineOp::CheckConfig(_) => write!(f, "check the new configuration"),
            EngineOp::CheckFiles(check) => {
                let names: Vec<&str> = check.files.iter().map(|f| f.name.as_str()).collect();
                write!(f, "check {}", names.join(", "))
            }
            EngineOp::RemoveFiles { names, .. } => write!(f, "remove {}", names.join(", ")),
            EngineOp::ResetAdmin { .. } => write!(f, "reset the password of admin"),
            EngineOp::RecoverPasswords { .. } => write!(f, "recover lost passwords"),
            EngineOp::PromoteInside(_) => write!(f, "promote through its socket"),
            EngineOp::EndSenders { .. } => write!(f, "end the WAL senders that hold its shutdown up"),
            EngineOp::ResetPassword { role, .. } => write!(f, "reset the password of role {role}"),
        }
    }
}

impl<C: fmt::Display> fmt::Display for Action<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.subject)?;
        match &self.op {
            Op::Engine(op) => write!(f, "{op}")?,
            Op::Sql(_, op) => write!(f, "{op}")?,
            Op::Grafana(_, op) => write!(f, "{op}")?,
            Op::Listen(address) => write!(f, "listen at {address}")?,
            Op::Remember(change) => write!(f, "remember that {change}")?,
        }
        write!(f, ", because {}", self.cause)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Waiting { subject, reason } => write!(f, "{subject}: waiting, {reason}"),
            Note::Blocked { subject, reason, .. } => write!(f, "{subject}: blocked, {reason}"),
            Note::NeedsConfirmation { subject, reason } => {
                write!(f, "{subject}: needs your confirmation, {reason}")
            }
        }
    }
}

impl<C: fmt::Display> fmt::Display for Plan<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chain in &self.chains {
            for action in chain {
                writeln!(f, "{action}")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        if self.chains.is_empty() && self.notes.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        Ok(())
    }
}
