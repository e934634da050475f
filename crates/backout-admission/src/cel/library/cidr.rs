//! Ranges of addresses: `cidr`, `isCIDR`, and what they contain.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cel::common::types::{CelBool, CelInt, CelString};
use cel::{DeclarationError, Env, ExecutionError, add_member_overload, add_overload};

use super::ip::{self, Ip};
use super::{failed, opaque};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    /// How many bits of the address are the network's.
    prefix: u8,
}

opaque!(Cidr, "net.CIDR");

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(env, fn cidr: (CelString) -> Result<Cidr>, id = "string_to_cidr")?;
    add_overload!(env, fn is_cidr: (CelString) -> CelBool, name = "isCIDR", id = "is_cidr")?;
    add_overload!(env, fn string: (Cidr) -> CelString, id = "cidr_to_string")?;
    add_member_overload!(env, fn contains_ip: (Cidr, Ip) -> CelBool, name = "containsIP")?;
    add_member_overload!(env, fn contains_text: (Cidr, CelString) -> Result<CelBool>,
        name = "containsIP")?;
    add_member_overload!(env, fn contains_cidr: (Cidr, Cidr) -> CelBool, name = "containsCIDR")?;
    add_member_overload!(env, fn contains_cidr_text: (Cidr, CelString) -> Result<CelBool>,
        name = "containsCIDR")?;
    add_member_overload!(env, fn ip: (Cidr) -> Ip)?;
    add_member_overload!(env, fn masked: (Cidr) -> Cidr)?;
    add_member_overload!(env, fn prefix_length: (Cidr) -> CelInt)?;
    Ok(())
}

fn parse(text: &str) -> Option<Cidr> {
    let (address, prefix) = text.split_once('/')?;
    let address = ip::parse(address)?;
    let is_written_plainly = prefix == "0" || !prefix.starts_with('0');
    if !is_written_plainly || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let prefix: u8 = prefix.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= bits).then_some(Cidr { address, prefix })
}

/// The network's bits of an address.
fn network(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}

impl Cidr {
    fn has(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && network(self.address, self.prefix) == network(address, self.prefix)
    }
}

fn cidr(text: &CelString<'_>) -> Result<Cidr, ExecutionError> {
    parse(text.inner()).ok_or_else(|| failed("cidr", "not a range such as 10.0.0.0/8"))
}

fn is_cidr(text: &CelString<'_>) -> CelBool {
    CelBool::from(parse(text.inner()).is_some())
}

fn string(range: &Cidr) -> CelString<'static> {
    CelString::from(format!("{}/{}", range.address, range.prefix))
}

fn contains_ip(range: &Cidr, address: &Ip) -> CelBool {
    CelBool::from(range.has(address.0))
}

fn contains_text(range: &Cidr, address: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    let address = ip::parse(address.inner());
    let address = address.ok_or_else(|| failed("containsIP", "not an IP address"))?;
    Ok(CelBool::from(range.has(address)))
}

fn contains_cidr(range: &Cidr, other: &Cidr) -> CelBool {
    CelBool::from(range.prefix <= other.prefix && range.has(other.address))
}

fn contains_cidr_text(range: &Cidr, other: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    Ok(contains_cidr(range, &cidr(other)?))
}

fn ip(range: &Cidr) -> Ip {
    Ip(range.address)
}

fn masked(range: &Cidr) -> Cidr {
    Cidr { address: network(range.address, range.prefix), prefix: range.prefix }
}

fn prefix_length(range: &Cidr) -> CelInt {
    CelInt::from(i64::from(range.prefix))
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::{error, holds};

    #[test]
    fn ranges_are_read() {
        assert!(holds("isCIDR('192.168.0.0/16') && isCIDR('::1/128') && isCIDR('0.0.0.0/0')"));
        assert!(holds("!isCIDR('192.168.0.0/33') && !isCIDR('10.0.0.0') && !isCIDR('::/129')"));
        assert!(holds("!isCIDR('10.0.0.0/08') && !isCIDR('10.0.0.0/+8')"));
        assert!(holds("cidr('192.168.0.0/16').prefixLength() == 16"));
        assert!(holds("cidr('192.168.1.5/24').ip() == ip('192.168.1.5')"));
        assert!(holds("cidr('192.168.1.5/24').masked() == cidr('192.168.1.0/24')"));
        assert!(holds(
            "cidr('::1/128').ip().family() == 6 && string(cidr('10.0.0.0/8')) == '10.0.0.0/8'"
        ));
        assert!(error("cidr('x') == cidr('y')").contains("not a range"));
    }

    #[test]
    fn ranges_contain_addresses_and_ranges() {
        assert!(holds("cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))"));
        assert!(holds("!cidr('192.168.0.0/24').containsIP('192.168.1.1')"));
        assert!(holds(
            "cidr('0.0.0.0/0').containsIP('8.8.8.8') && !cidr('0.0.0.0/0').containsIP('::1')"
        ));
        assert!(holds("cidr('192.168.0.0/16').containsCIDR(cidr('192.168.10.0/24'))"));
        assert!(holds("!cidr('192.168.1.0/24').containsCIDR('192.168.0.0/16')"));
        assert!(holds("cidr('10.0.0.0/8').containsCIDR('10.0.0.0/8')"));
        assert!(error("cidr('10.0.0.0/8').containsIP('ten')").contains("not an IP address"));
    }
}
