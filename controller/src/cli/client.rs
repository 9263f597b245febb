//! Talks to the agent over its socket.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::error::{CommandError, Exit, failed};
use crate::agent::runner::HELD_BY_ANOTHER;
use crate::agent::view::{Overview, ReplyView, ResourceView};
use crate::kinds;
use crate::model::status::READY;
use crate::server::{Refusal, SOCKET};

/// The agent of a state directory.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// A member and the resource that it belongs to.
#[derive(Debug, Clone)]
pub struct Found {
    /// The resource.
    pub resource: ResourceView,
    /// The member's name.
    pub member: String,
}

impl Client {
    /// The agent of `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        Client {
            socket: state_dir.join(SOCKET),
        }
    }

    /// Everything that the agent knows; after a fresh look if asked for.
    pub async fn overview(&self, fresh: bool) -> Result<Overview, CommandError> {
        self.get(&format!("/v1/overview?fresh={fresh}")).await
    }

    /// A resource by `NAME` or `KIND/NAME`; the only one when no name is given.
    pub async fn resource(&self, name: Option<&str>, fresh: bool) -> Result<ResourceView, CommandError> {
        let resources = self.overview(fresh).await?.resources;
        pick(resources, name)
    }

    /// A member by its name, and by its cluster where the name is in several.
    pub async fn member(&self, member: &str, cluster: Option<&str>) -> Result<Found, CommandError> {
        let resources = self.overview(false).await?.resources;
        let mut found: Vec<ResourceView> = resources
            .iter()
            .filter(|r| cluster.is_none_or(|wanted| r.name == wanted))
            .filter(|r| {
                r.status
                    .members
                    .iter()
                    .any(|m| m.name == member || m.container == member)
            })
            .cloned()
            .collect();
        match (found.pop(), found.is_empty()) {
            (Some(resource), true) => {
                let member = resource
                    .status
                    .members
                    .iter()
                    .find(|m| m.name == member || m.container == member);
                let member = member.map(|m| m.name.clone()).unwrap_or_default();
                Ok(Found { resource, member })
            }
            (Some(resource), false) => {
                let mut names: Vec<&str> = found.iter().map(|r| r.name.as_str()).collect();
                names.push(&resource.name);
                let message = format!("{member} is a member of several clusters: {}", names.join(", "));
                Err(CommandError::new(Exit::Invalid, message).hint("say which with --cluster"))
            }
            (None, _) => {
                let names: Vec<String> = resources
                    .iter()
                    .filter(|r| cluster.is_none_or(|wanted| r.name == wanted))
                    .flat_map(|r| r.status.members.iter().map(|m| m.name.clone()))
                    .collect();
                let is_meant = |r: &&ResourceView| cluster.is_none_or(|wanted| r.name == wanted);
                let held = resources.iter().filter(is_meant).find_map(refusal);
                if let Some(refusal) = held {
                    return Err(CommandError::new(Exit::Refused, refusal));
                }
                let message = format!("there is no member {member}");
                Err(CommandError::new(Exit::Invalid, message).hint(format!("the members are {}", names.join(", "))))
            }
        }
    }

    /// Sends a request about a resource.
    pub async fn request(&self, resource: &ResourceView, request: &kinds::Request) -> Result<ReplyView, CommandError> {
        let body = serde_json::to_vec(request).map_err(failed)?;
        self.call("POST", &path(resource, "request"), body).await
    }

    /// Does something to a resource that answers with nothing.
    pub async fn tell(&self, resource: &ResourceView, verb: &str) -> Result<(), CommandError> {
        let _: serde_json::Value = self.call("POST", &path(resource, verb), Vec::new()).await?;
        Ok(())
    }

    /// Does something to a resource that answers with something.
    pub async fn ask<T: DeserializeOwned>(&self, resource: &ResourceView, verb: &str) -> Result<T, CommandError> {
        self.call("POST", &path(resource, verb), Vec::new()).await
    }

    /// Reads a document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CommandError> {
        self.call("GET", path, Vec::new()).await
    }

    async fn call<T: DeserializeOwned>(&self, method: &str, path: &str, body: Vec<u8>) -> Result<T, CommandError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "reconciler")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(failed)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(failed)?.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(failed);
        }
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        let refusal: Refusal = serde_json::from_slice(&bytes).map_err(|_| failed(text()))?;
        let exit = if status == StatusCode::CONFLICT {
            Exit::Refused
        } else {
            Exit::Invalid
        };
        Err(CommandError::new(exit, refusal.message))
    }

    fn unreachable(&self, error: &dyn std::fmt::Display) -> CommandError {
        let message = format!("no agent listens on {}: {error}", self.socket.display());
        CommandError::new(Exit::Unreachable, message)
            .hint("start it with `reconciler run -f MANIFESTS`, or name its --state-dir")
    }
}

/// Why this agent does nothing to a resource, if another one has it.
pub fn refusal(resource: &ResourceView) -> Option<String> {
    let ready = resource.status.condition(READY)?;
    (ready.reason == HELD_BY_ANOTHER).then(|| ready.message.clone())
}

fn path(resource: &ResourceView, verb: &str) -> String {
    format!("/v1/resources/{}/{}/{verb}", resource.kind, resource.name)
}

/// A resource by `NAME` or `KIND/NAME`; the only one when no name is given.
pub fn pick(resources: Vec<ResourceView>, name: Option<&str>) -> Result<ResourceView, CommandError> {
    let all: Vec<String> = resources.iter().map(|r| format!("{}/{}", r.kind, r.name)).collect();
    let fits = |r: &ResourceView| {
        name.is_none_or(|name| r.name == name || format!("{}/{}", r.kind, r.name).eq_ignore_ascii_case(name))
    };
    let mut found: Vec<ResourceView> = resources.into_iter().filter(fits).collect();
    match (found.pop(), found.is_empty()) {
        (Some(resource), true) => Ok(resource),
        (Some(_), false) => {
            let hint = format!("say which: {}", all.join(", "));
            Err(CommandError::new(Exit::Invalid, "there are several resources").hint(hint))
        }
        (None, _) => {
            let message = name.map_or_else(|| "there are no resources".to_owned(), |n| format!("there is no {n}"));
            let error = CommandError::new(Exit::Invalid, message);
            Err(if all.is_empty() {
                error
            } else {
                error.hint(format!("there is {}", all.join(", ")))
            })
        }
    }
}
