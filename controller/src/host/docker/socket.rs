//! Which unix socket the engine listens on. Pure.

const DEFAULT: &str = "/var/run/docker.sock";

/// The socket's path: the one that was asked for, else that of `DOCKER_HOST`, else the default.
pub(super) fn path(asked: Option<&str>, environment: Option<&str>) -> Result<String, String> {
    let (origin, address) = match (asked, environment.filter(|value| !value.is_empty())) {
        (Some(asked), _) => ("the address", asked),
        (None, Some(value)) => ("DOCKER_HOST", value),
        (None, None) => return Ok(DEFAULT.to_owned()),
    };
    let path = address.strip_prefix("unix://").unwrap_or(address);
    if path.starts_with('/') {
        return Ok(path.to_owned());
    }
    Err(format!(
        "{origin} is {address}, but the agent works beside its engine, through a unix socket only; \
         use unix:///var/run/docker.sock, or unset it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asked_socket_wins_over_the_environment() {
        assert_eq!(path(Some("/a.sock"), Some("unix:///b.sock")), Ok("/a.sock".to_owned()));
        assert_eq!(path(None, Some("unix:///b.sock")), Ok("/b.sock".to_owned()));
        assert_eq!(path(None, Some("")), Ok(DEFAULT.to_owned()));
        assert_eq!(path(None, None), Ok(DEFAULT.to_owned()));
    }

    #[test]
    fn a_remote_engine_is_refused_by_name() {
        let why = path(None, Some("tcp://10.0.0.1:2375")).unwrap_err();
        assert!(why.starts_with("DOCKER_HOST is tcp://10.0.0.1:2375, but"), "{why}");
    }
}
