//! Changes CPU and memory of a container in place. The engine takes 0 for "leave as it is" and
//! refuses -1, and so lifts a limit only by a larger one: more memory than any host has, just under all of its CPUs.

use bollard::models::{ContainerUpdateBody, HostConfig};

use super::convert::{MILLI_CPU, NO_CPU_LIMIT_TAIL, NO_MEMORY_LIMIT};
use super::{Docker, LOOK, WORK, observe};
use crate::host::{FailureKind, HostError};
use crate::model::container::Limits;

const CPU: i64 = 1_000_000_000;

/// Puts limits in force.
pub(super) async fn update(docker: &Docker, container: &str, limits: &Limits) -> Result<(), HostError> {
    let what = format!("update cpu and memory limits of container {container}");
    let Some(inspected) = observe::inspect(docker, container).await? else {
        return Err(HostError::new(
            FailureKind::NotFound,
            what,
            "there is no such container",
        ));
    };
    let now = inspected.host_config.unwrap_or_default();
    let info = async |engine: bollard::Docker| engine.info().await;
    let cpus = docker.call(&what, LOOK, info).await?.ncpu.unwrap_or(1);
    let request = async |engine: bollard::Docker| engine.update_container(container, change(&now, limits, cpus)).await;
    docker.call(&what, WORK, request).await
}

fn change(now: &HostConfig, wanted: &Limits, host_cpus: i64) -> ContainerUpdateBody {
    let mut change = ContainerUpdateBody::default();
    let has_memory_limit = now.memory.is_some_and(|bytes| bytes > 0 && bytes < NO_MEMORY_LIMIT);
    if wanted.memory_bytes > 0 {
        change.memory = Some(wanted.memory_bytes);
        // The engine's own default at creation; said here, it lets memory rise above the old sum of both.
        change.memory_swap = Some(wanted.memory_bytes.saturating_mul(2));
    } else if has_memory_limit {
        change.memory = Some(NO_MEMORY_LIMIT);
        // Not -1: the engine would not hand that on, and the kernel refuses memory above the old sum of both.
        change.memory_swap = Some(NO_MEMORY_LIMIT * 2);
    }
    let has_cpu_limit = now.nano_cpus.unwrap_or_default() > 0;
    if wanted.nano_cpus > 0 {
        change.nano_cpus = Some(wanted.nano_cpus);
    } else if has_cpu_limit {
        change.nano_cpus = Some(host_cpus * CPU - MILLI_CPU + NO_CPU_LIMIT_TAIL);
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(nano_cpus: i64, memory: i64) -> HostConfig {
        HostConfig {
            nano_cpus: Some(nano_cpus),
            memory: Some(memory),
            ..HostConfig::default()
        }
    }

    #[test]
    fn memory_rises_together_with_swap() {
        let wanted = Limits {
            nano_cpus: 0,
            memory_bytes: 1 << 30,
        };
        let change = change(&now(0, 1 << 20), &wanted, 2);
        assert_eq!((change.memory, change.memory_swap), (Some(1 << 30), Some(2 << 30)));
        assert_eq!(change.nano_cpus, None);
    }

    #[test]
    fn limits_are_lifted_where_they_are_set() {
        let lifted = change(&now(CPU, 1 << 20), &Limits::default(), 2);
        assert_eq!((lifted.memory, lifted.memory_swap), (Some(1 << 60), Some(1 << 61)));
        assert_eq!(lifted.nano_cpus, Some(1_999_999_999));
        assert_eq!(
            change(&now(0, 0), &Limits::default(), 2),
            ContainerUpdateBody::default()
        );
    }
}
