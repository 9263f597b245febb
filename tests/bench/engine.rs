//! Calls to the engine past the agent: what somebody with a terminal would do, without the time that the `docker`
//! command takes to start.

use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::KillContainerOptionsBuilder;

use crate::Done;

/// How often a container is looked at while something is waited for.
const POLL: Duration = Duration::from_millis(2);

/// Sends a signal.
pub async fn signal(engine: &Docker, container: &str, signal: &str) -> Done<()> {
    let options = KillContainerOptionsBuilder::new().signal(signal).build();
    Ok(engine.kill_container(container, Some(options)).await?)
}

/// Starts a container.
pub async fn start(engine: &Docker, container: &str) -> Done<()> {
    Ok(engine.start_container(container, None).await?)
}

/// Waits until a container's process has ended.
pub async fn wait_for_exit(engine: &Docker, container: &str) -> Done<()> {
    loop {
        let inspected = engine.inspect_container(container, None).await?;
        if inspected.state.and_then(|state| state.running) == Some(false) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}
