//! What this host knows of the hardware addresses on the engine's bridges. While a container is down, its address stays
//! known for half a minute, and what is sent there is lost: the engine's own proxy of a published port tries the container
//! before its network is up, and the kernel repeats such a first packet only after a second (TCP's first retransmission
//! timeout, RFC 6298). Forgotten in time, the address is asked for first, and the packet waits for the answer.

use std::fs;
use std::io;
use std::net::Ipv4Addr;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, netdevice, sendto, socket_with};

/// `RTM_DELNEIGH`, `NLM_F_REQUEST`, `AF_INET` and `NDA_DST` of rtnetlink(7).
const DELETE_NEIGHBOUR: u16 = 29;
const REQUEST: u16 = 1;
const INET: u8 = 2;
const DESTINATION: u16 = 1;

/// Forgets all addresses on the bridges of networks, by network id. The kernel asks for those in use again, in
/// microseconds. Needs the right to administrate this host's network.
pub(super) fn forget(networks: &[String]) -> io::Result<()> {
    let bridges: Vec<String> = networks
        .iter()
        .filter_map(|id| Some(format!("br-{}", id.get(..12)?)))
        .collect();
    let table = fs::read_to_string("/proc/net/arp")?;
    let known = known(&table, &bridges);
    if known.is_empty() {
        return Ok(());
    }
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    for (address, bridge) in known {
        let index = netdevice::name_to_index(&socket, bridge)?;
        sendto(
            &socket,
            &deletion(address, index),
            SendFlags::empty(),
            &SocketAddrNetlink::new(0, 0),
        )?;
    }
    Ok(())
}

/// The addresses in the kernel's table that were learned on one of the bridges.
fn known<'a>(table: &'a str, bridges: &[String]) -> Vec<(Ipv4Addr, &'a str)> {
    let rows = table.lines().skip(1).filter_map(|row| {
        let mut fields = row.split_whitespace();
        Some((fields.next()?.parse().ok()?, fields.last()?))
    });
    rows.filter(|(_, device)| bridges.iter().any(|bridge| bridge == device))
        .collect()
}

/// The message that deletes one entry: header, `ndmsg`, and the address as its attribute.
fn deletion(address: Ipv4Addr, device: u32) -> Vec<u8> {
    let mut body = vec![INET, 0, 0, 0];
    body.extend(device.to_ne_bytes());
    // State, flags and type do not matter for a deletion.
    body.extend([0; 4]);
    body.extend(8_u16.to_ne_bytes());
    body.extend(DESTINATION.to_ne_bytes());
    body.extend(address.octets());
    let length = u32::try_from(16 + body.len()).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(DELETE_NEIGHBOUR.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // Neither a number nor a sender: no answer is asked for.
    message.extend([0; 8]);
    message.extend(body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_on_our_bridges_are_forgotten() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.168.0.2      0x1         0x2         02:42:c0:a8:00:02     *        br-e536a393e8f7\n\
                     192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n";
        let bridges = ["br-e536a393e8f7".to_owned()];
        assert_eq!(
            known(table, &bridges),
            [(Ipv4Addr::new(192, 168, 0, 2), "br-e536a393e8f7")]
        );
    }

    #[test]
    fn a_deletion_is_as_long_as_it_says() {
        let message = deletion(Ipv4Addr::new(192, 168, 0, 2), 7);
        assert_eq!(message.len(), 36);
        assert_eq!(message[..4], 36_u32.to_ne_bytes());
        assert_eq!(message[32..], [192, 168, 0, 2]);
    }
}
