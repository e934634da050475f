//! IP addresses: `ip`, `isIP`, `ip.isCanonical`, and what they are.

use std::net::IpAddr;

use cel::common::types::{CelBool, CelInt, CelString};
use cel::{DeclarationError, Env, ExecutionError, add_member_overload, add_overload};

use super::{failed, opaque};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ip(pub(super) IpAddr);

opaque!(Ip, "net.IP");

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(env, fn ip: (CelString) -> Result<Ip>, id = "string_to_ip")?;
    add_overload!(env, fn is_ip: (CelString) -> CelBool, name = "isIP", id = "is_ip")?;
    add_overload!(env, fn is_canonical: (CelString) -> Result<CelBool>,
        name = "ip.isCanonical", id = "ip_is_canonical")?;
    add_overload!(env, fn string: (Ip) -> CelString, id = "ip_to_string")?;
    add_member_overload!(env, fn family: (Ip) -> CelInt)?;
    add_member_overload!(env, fn is_unspecified: (Ip) -> CelBool)?;
    add_member_overload!(env, fn is_loopback: (Ip) -> CelBool)?;
    add_member_overload!(env, fn is_link_local_multicast: (Ip) -> CelBool)?;
    add_member_overload!(env, fn is_link_local_unicast: (Ip) -> CelBool)?;
    add_member_overload!(env, fn is_global_unicast: (Ip) -> CelBool)?;
    Ok(())
}

/// Reads an address. Kubernetes takes neither a zone nor IPv4 that is written as IPv6.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    match address {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => None,
        address => Some(address),
    }
}

fn ip(text: &CelString<'_>) -> Result<Ip, ExecutionError> {
    parse(text.inner()).map(Ip).ok_or_else(|| failed("ip", "not an IP address"))
}

fn is_ip(text: &CelString<'_>) -> CelBool {
    CelBool::from(parse(text.inner()).is_some())
}

fn is_canonical(text: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    let address = ip(text)?;
    Ok(CelBool::from(address.0.to_string() == text.inner()))
}

fn string(address: &Ip) -> CelString<'static> {
    CelString::from(address.0.to_string())
}

fn family(address: &Ip) -> CelInt {
    CelInt::from(if address.0.is_ipv4() { 4 } else { 6 })
}

fn is_unspecified(address: &Ip) -> CelBool {
    CelBool::from(address.0.is_unspecified())
}

fn is_loopback(address: &Ip) -> CelBool {
    CelBool::from(address.0.is_loopback())
}

fn is_link_local_multicast(address: &Ip) -> CelBool {
    CelBool::from(match address.0 {
        IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
    })
}

fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_link_local_unicast(address: &Ip) -> CelBool {
    CelBool::from(link_local(address.0))
}

/// As Go has it: private addresses are global unicast too.
fn is_global_unicast(address: &Ip) -> CelBool {
    let is_broadcast = matches!(address.0, IpAddr::V4(address) if address.is_broadcast());
    let special = address.0.is_unspecified()
        || address.0.is_loopback()
        || address.0.is_multicast()
        || link_local(address.0);
    CelBool::from(!special && !is_broadcast)
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::{error, holds};

    #[test]
    fn addresses_are_read() {
        assert!(holds("isIP('127.0.0.1') && isIP('::1') && !isIP('127.0.0.256')"));
        assert!(holds("!isIP('fe80::1%eth0') && !isIP('::ffff:1.2.3.4') && !isIP('010.0.0.1')"));
        assert!(holds("ip.isCanonical('127.0.0.1') && ip.isCanonical('2001:db8::abcd')"));
        assert!(holds(
            "!ip.isCanonical('2001:DB8::ABCD') && !ip.isCanonical('2001:db8::0:0:0:abcd')"
        ));
        assert!(holds("ip('127.0.0.1').family() == 4 && ip('::1').family() == 6"));
        assert!(holds("ip('2001:db8::0:1') == ip('2001:db8::1') && string(ip('::0')) == '::'"));
        assert!(error("ip('hello') == ip('::1')").contains("not an IP address"));
    }

    #[test]
    fn addresses_are_of_a_kind() {
        assert!(holds("ip('127.0.0.1').isLoopback() && ip('::1').isLoopback()"));
        assert!(holds("ip('0.0.0.0').isUnspecified() && !ip('::1').isUnspecified()"));
        assert!(holds(
            "ip('224.0.0.1').isLinkLocalMulticast() && !ip('224.0.1.1').isLinkLocalMulticast()"
        ));
        assert!(holds(
            "ip('ff02::1').isLinkLocalMulticast() && ip('fe80::1').isLinkLocalUnicast()"
        ));
        assert!(holds("ip('169.254.169.254').isLinkLocalUnicast()"));
        assert!(holds(
            "ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()"
        ));
        assert!(holds(
            "ip('2001:db8::abcd').isGlobalUnicast() && !ip('ff00::1').isGlobalUnicast()"
        ));
    }
}
