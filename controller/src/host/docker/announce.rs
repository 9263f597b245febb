//! Tells the neighbours of a container that was just started where it is. Whoever asked for its address while it was down
//! asks again only once a second (ARP, `net.ipv4.neigh.*.retrans_time_ms`), through a published port too: clients of a
//! server that is back after half a second waited for up to one more. What this host remembers of it from before is
//! forgotten ahead of the start: see [`neighbours`].
//!
//! A datagram to another address of each network makes the kernel in there ask for it, and that question is a broadcast
//! that names the asker: everybody who waits for it takes its address from it (`arp_process` in the kernel's `arp.c`).
//! That needs the right to enter the container's network, and this host to be the engine's; without them nothing is lost
//! but the moment.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;

use bollard::models::{ContainerInspectResponse, EndpointSettings};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tracing::debug;

use super::{Docker, local, neighbours, observe};

/// The discard service (RFC 863): nobody answers, and nobody has to.
const DISCARD: u16 = 9;

/// Has this host ask anew for the addresses on a container's networks, before the container is started.
pub(super) async fn prepare(docker: &Docker, container: &str) {
    if !local::is_here(docker).await {
        return;
    }
    let inspected = observe::inspect(docker, container).await.ok().flatten();
    let settings = inspected.and_then(|inspected| inspected.network_settings);
    let networks = settings.and_then(|settings| settings.networks).unwrap_or_default();
    let ids: Vec<String> = networks
        .into_values()
        .filter_map(|endpoint| endpoint.network_id)
        .collect();
    if let Err(error) = neighbours::forget(&ids) {
        debug!(%error, "the addresses from before the start are not forgotten; clients find the container within a second");
    }
}

/// Announces the addresses of a container that runs.
pub(super) async fn announce(docker: &Docker, container: &str) {
    if !local::is_here(docker).await {
        return;
    }
    let Ok(Some(inspected)) = observe::inspect(docker, container).await else {
        return;
    };
    let Some((process, addresses)) = addresses(&inspected) else {
        return;
    };
    // A thread of its own, which ends: who has moved to another network cannot be used for anything else.
    let thread = std::thread::Builder::new().name("announce".to_owned());
    let spawned = thread.spawn(move || {
        if let Err(error) = speak(process, &addresses) {
            debug!(%error, "the addresses of a container are not announced; clients find it within a second");
        }
    });
    if let Err(error) = spawned {
        debug!(%error, "no thread to announce the addresses of a container");
    }
}

/// A container's main process, and for each network its address and another one.
fn addresses(inspected: &ContainerInspectResponse) -> Option<(i64, Vec<(Ipv4Addr, Ipv4Addr)>)> {
    let process = inspected.state.as_ref()?.pid.filter(|pid| *pid > 0)?;
    let networks = inspected.network_settings.as_ref()?.networks.as_ref()?;
    let addresses: Vec<_> = networks.values().filter_map(pair).collect();
    (!addresses.is_empty()).then_some((process, addresses))
}

/// An endpoint's address, and the gateway's or, in a network without one, what would be its.
fn pair(endpoint: &EndpointSettings) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let own: Ipv4Addr = endpoint.ip_address.as_deref()?.parse().ok()?;
    let gateway = endpoint.gateway.as_deref().and_then(|gateway| gateway.parse().ok());
    let prefix = u32::try_from(endpoint.ip_prefix_len?)
        .ok()
        .filter(|bits| (1..31).contains(bits))?;
    let network = own.to_bits() & (u32::MAX << (32 - prefix));
    let first = || {
        let hosts = [1, 2].map(|host| Ipv4Addr::from_bits(network | host));
        hosts.into_iter().find(|host| *host != own)
    };
    Some((own, gateway.or_else(first)?))
}

fn speak(process: i64, addresses: &[(Ipv4Addr, Ipv4Addr)]) -> io::Result<()> {
    let network = File::open(format!("/proc/{process}/ns/net"))?;
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    for (own, other) in addresses {
        UdpSocket::bind((*own, 0))?.send_to(&[], (*other, DISCARD))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(address: &str, gateway: &str, prefix: i64) -> EndpointSettings {
        EndpointSettings {
            ip_address: Some(address.to_owned()),
            gateway: Some(gateway.to_owned()),
            ip_prefix_len: Some(prefix),
            ..EndpointSettings::default()
        }
    }

    #[test]
    fn an_address_is_announced_to_the_gateway_or_to_the_first_other_address() {
        let told = |address, gateway, prefix| pair(&endpoint(address, gateway, prefix)).map(|(_, other)| other);
        assert_eq!(told("172.18.0.3", "172.18.0.1", 16), Some(Ipv4Addr::new(172, 18, 0, 1)));
        assert_eq!(told("172.18.0.3", "", 16), Some(Ipv4Addr::new(172, 18, 0, 1)));
        assert_eq!(told("10.1.2.1", "", 24), Some(Ipv4Addr::new(10, 1, 2, 2)));
        assert_eq!(told("", "172.18.0.1", 16), None);
    }
}
