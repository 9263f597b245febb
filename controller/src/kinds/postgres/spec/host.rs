//! What the engine is told of networks and of what containers write to their output.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scalar;
use crate::model::container::LogSpec;

/// The cluster's networks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Networks {
    /// The subnet of the members' own network, IPv4; the engine chooses one without it. It is used when the network is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["10.77.0.0/24"]))]
    pub subnet: Option<String>,
    /// The subnet of the network that applications attach to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["10.77.1.0/24"]))]
    pub service_subnet: Option<String>,
}

/// Where containers' output goes, in the words of Compose. Without it the engine's own driver is used, and where that is
/// `json-file`, which has no bound, a container keeps five files of 10 MB.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// The engine's log driver; its own without it. Why a server ended is read from its log: with `none` nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["local"]))]
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(default)]
    #[schemars(extend("examples" = [{"max-size": "50m", "max-file": "3"}]))]
    pub options: BTreeMap<String, Scalar>,
}

impl Logging {
    /// What the engine is told.
    pub fn spec(&self) -> LogSpec {
        let options = self.options.iter();
        LogSpec {
            driver: self.driver.clone().unwrap_or_default(),
            options: options.map(|(name, value)| (name.clone(), value.0.clone())).collect(),
        }
    }
}

/// What is wrong with a subnet for so many containers, if anything is.
pub fn subnet_problem(subnet: &str, containers: u32) -> Option<String> {
    let shape = "a subnet is an IPv4 network, such as `10.77.0.0/24`";
    let parsed = subnet.split_once('/').and_then(|(address, bits)| {
        let address: std::net::Ipv4Addr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok().filter(|bits| (8..=30).contains(bits))?;
        Some((u32::from(address), bits))
    });
    let Some((address, bits)) = parsed else {
        return Some(shape.to_owned());
    };
    let size = 1_u32 << (32 - bits);
    let first = address & !(size - 1);
    if first != address {
        let first = std::net::Ipv4Addr::from(first);
        return Some(format!("the network of that size begins at `{first}/{bits}`"));
    }
    // The network itself, its gateway and its broadcast address are nobody's.
    let room = size - 3;
    (room < containers).then(|| format!("it has {room} addresses, and {containers} containers need one"))
}

#[cfg(test)]
mod tests {
    use super::subnet_problem;

    #[test]
    fn a_subnet_is_a_network_with_room_for_everybody() {
        assert_eq!(subnet_problem("10.77.0.0/24", 4), None);
        assert_eq!(subnet_problem("10.77.0.0/29", 5), None);
        for (subnet, word) in [
            ("10.77.0.0", "such as"),
            ("10.77.0.0/33", "such as"),
            ("fd00::/64", "such as"),
            ("10.77.0.9/24", "begins at `10.77.0.0/24`"),
            ("10.77.0.0/29", "it has 5 addresses"),
        ] {
            let why = subnet_problem(subnet, 6).unwrap_or_default();
            assert!(why.contains(word), "{subnet}: {why}");
        }
    }
}
