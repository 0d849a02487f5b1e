//! What Windows machines ask of their domain controller and network: Kerberos, LDAP, DHCP, NTP.

use super::der::{ENUM, OCTETS, SEQUENCE, application, context, integer, join, tlv};
use super::net::{Host, MS, Nanos, Wire, ethernet, udp};
use super::random::Random;
use super::tcp::{Side, Tcp};
use std::net::{IpAddr, Ipv4Addr};

/// The site's domain.
pub(crate) const DOMAIN: &str = "corp.example";
/// Its Kerberos realm.
pub(crate) const REALM: &str = "CORP.EXAMPLE";

/// AES256-CTS-HMAC-SHA1-96, AES128, RC4: what Windows offers.
const ETYPES: [u32; 3] = [18, 17, 23];

/// A logon (AS exchange, without pre-authentication first) and a ticket for `service` (TGS exchange), over TCP.
pub(crate) fn logon(wire: &mut Wire, at: Nanos, pc: &Host, dc: &Host, user: &str, service: &[&str]) -> Nanos {
    let mut now = at;
    let krbtgt = ["krbtgt", REALM];
    for (request, answer) in [
        (as_request(&mut wire.random, user, false), error(25, &krbtgt)),
        (as_request(&mut wire.random, user, true), reply(&mut wire.random, 11, user, &krbtgt)),
        (tgs_request(&mut wire.random, service), reply(&mut wire.random, 13, user, service)),
    ] {
        let mut tcp = Tcp::new(wire, now, pc, (dc, 88));
        tcp.open().orig(&framed(&request)).resp(&framed(&answer));
        now = tcp.close(Side::Orig) + 2 * MS;
    }
    now
}

/// RFC 4120 §5.4.1.
pub(crate) fn as_request(random: &mut Random, user: &str, authenticated: bool) -> Vec<u8> {
    let mut padata = vec![pa_data(128, &join(SEQUENCE, &[context(0, &tlv(1, &[0xff]))]))]; // PA-PAC-REQUEST
    if authenticated {
        padata.insert(0, pa_data(2, &encrypted(random, 56))); // PA-ENC-TIMESTAMP
    }
    let body = body(random, Some((1, &[user])), &["krbtgt", REALM]);
    let fields = [context(1, &integer(5)), context(2, &integer(10)), context(3, &join(SEQUENCE, &padata)), body];
    application(10, &join(SEQUENCE, &fields))
}

fn tgs_request(random: &mut Random, service: &[&str]) -> Vec<u8> {
    let ap_request = ap_request(random, &["krbtgt", REALM]);
    let padata = join(SEQUENCE, &[pa_data(1, &ap_request)]);
    let body = body(random, None, service);
    let fields = [context(1, &integer(5)), context(2, &integer(12)), context(3, &padata), body];
    application(12, &join(SEQUENCE, &fields))
}

/// AP-REQ: a ticket shown to whom it is for (RFC 4120 §5.5.1).
pub(crate) fn ap_request(random: &mut Random, service: &[&str]) -> Vec<u8> {
    let fields = [
        context(0, &integer(5)),
        context(1, &integer(14)),
        context(2, &tlv(3, &[0, 0, 0, 0, 0])),
        context(3, &ticket(random, service)),
        context(4, &encrypted(random, 160)),
    ];
    application(14, &join(SEQUENCE, &fields))
}

/// AS-REP (11) or TGS-REP (13).
pub(crate) fn reply(random: &mut Random, kind: u8, user: &str, service: &[&str]) -> Vec<u8> {
    let fields = [
        context(0, &integer(5)),
        context(1, &integer(u32::from(kind))),
        context(3, &string(REALM)),
        context(4, &principal(1, &[user])),
        context(5, &ticket(random, service)),
        context(6, &encrypted(random, 250)),
    ];
    application(kind, &join(SEQUENCE, &fields))
}

/// KRB-ERROR; 25 is KDC_ERR_PREAUTH_REQUIRED, 24 a wrong password, 6 an unknown user.
pub(crate) fn error(code: u32, service: &[&str]) -> Vec<u8> {
    let fields = [
        context(0, &integer(5)),
        context(1, &integer(30)),
        context(4, &tlv(0x18, b"20260303000000Z")),
        context(5, &integer(100_000)),
        context(6, &integer(code)),
        context(9, &string(REALM)),
        context(10, &principal(2, service)),
    ];
    application(30, &join(SEQUENCE, &fields))
}

fn body(random: &mut Random, client: Option<(u32, &[&str])>, service: &[&str]) -> Vec<u8> {
    let mut fields = vec![context(0, &tlv(3, &[0, 0x40, 0x81, 0, 0x10]))];
    if let Some((kind, names)) = client {
        fields.push(context(1, &principal(kind, names)));
    }
    fields.push(context(2, &string(REALM)));
    fields.push(context(3, &principal(2, service)));
    fields.push(context(5, &tlv(0x18, b"20370913024805Z")));
    fields.push(context(7, &integer(random.next() as u32 >> 1)));
    fields.push(context(8, &join(SEQUENCE, &ETYPES.map(integer))));
    context(4, &join(SEQUENCE, &fields))
}

fn ticket(random: &mut Random, service: &[&str]) -> Vec<u8> {
    let fields = [
        context(0, &integer(5)),
        context(1, &string(REALM)),
        context(2, &principal(2, service)),
        context(3, &encrypted(random, 320)),
    ];
    application(1, &join(SEQUENCE, &fields))
}

fn principal(kind: u32, names: &[&str]) -> Vec<u8> {
    let names: Vec<Vec<u8>> = names.iter().map(|n| string(n)).collect();
    join(SEQUENCE, &[context(0, &integer(kind)), context(1, &join(SEQUENCE, &names))])
}

fn encrypted(random: &mut Random, length: usize) -> Vec<u8> {
    let cipher = tlv(OCTETS, &random.bytes(length));
    join(SEQUENCE, &[context(0, &integer(18)), context(1, &integer(2)), context(2, &cipher)])
}

fn pa_data(kind: u32, value: &[u8]) -> Vec<u8> {
    join(SEQUENCE, &[context(1, &integer(kind)), context(2, &tlv(OCTETS, value))])
}

/// KerberosString (GeneralString).
fn string(text: &str) -> Vec<u8> {
    tlv(0x1b, text.as_bytes())
}

/// RFC 4120 §7.2.2: four bytes of length over TCP.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// An anonymous search of the root entry (RFC 4511), as every domain member does it.
pub(crate) fn ldap_search(wire: &mut Wire, at: Nanos, pc: &Host, dc: &Host) -> Nanos {
    let filter = tlv(0x87, b"objectClass");
    let attributes = join(SEQUENCE, &[tlv(OCTETS, b"defaultNamingContext"), tlv(OCTETS, b"supportedSASLMechanisms")]);
    let zero = |tag| tlv(tag, &[0]);
    let search =
        join(0x63, &[tlv(OCTETS, b""), zero(ENUM), zero(ENUM), integer(0), integer(120), zero(1), filter, attributes]);
    let values = join(0x31, &[tlv(OCTETS, b"DC=corp,DC=example")]);
    let attribute = join(SEQUENCE, &[join(SEQUENCE, &[tlv(OCTETS, b"defaultNamingContext"), values])]);
    let entry = join(0x64, &[tlv(OCTETS, b""), attribute]);
    let done = join(0x65, &[zero(ENUM), tlv(OCTETS, b""), tlv(OCTETS, b"")]);
    let numbered = |n, op: Vec<u8>| join(SEQUENCE, &[integer(n), op]);
    let mut tcp = Tcp::new(wire, at, pc, (dc, 389));
    tcp.open().orig(&numbered(1, search)).resp(&[numbered(1, entry), numbered(1, done)].concat());
    tcp.orig(&numbered(2, tlv(0x42, &[])));
    tcp.close(Side::Orig)
}

/// A lease from the beginning (RFC 2131 §3.1): discover, offer, request, acknowledge.
pub(crate) fn lease(wire: &mut Wire, at: Nanos, pc: &Host, server: &Host, name: &str) -> Nanos {
    lease_as(wire, at, pc, server, name, None)
}

/// The same by a client that calls itself otherwise than by its hardware address (RFC 2132 §9.14); without a name, it
/// tells none.
pub(crate) fn lease_as(
    wire: &mut Wire,
    at: Nanos,
    pc: &Host,
    server: &Host,
    name: &str,
    client: Option<&[u8]>,
) -> Nanos {
    let IpAddr::V4(address) = pc.ip else { panic!("DHCP is for IPv4") };
    let IpAddr::V4(server_address) = server.ip else { panic!("DHCP is for IPv4") };
    let mac = wire.mac(pc);
    let id = wire.random.next() as u32;
    let (any, all) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    let mut now = at;
    for kind in [1_u8, 2, 3, 5] {
        let asks = matches!(kind, 1 | 3);
        let given = if asks { any } else { address };
        let mut message = vec![if asks { 1 } else { 2 }, 1, 6, 0];
        message.extend_from_slice(&id.to_be_bytes());
        message.extend_from_slice(&[0; 4]); // Seconds, flags.
        message.extend_from_slice(
            &[any, given, if asks { any } else { server_address }, any].map(|a| a.octets()).concat(),
        );
        message.extend_from_slice(&mac);
        message.extend_from_slice(&[0; 10 + 64 + 128]); // Rest of chaddr, sname, file.
        message.extend_from_slice(&[99, 130, 83, 99]);
        message.extend_from_slice(&[53, 1, kind]);
        if asks {
            let client = client.map_or_else(|| [&[1][..], &mac].concat(), <[u8]>::to_vec);
            message.extend_from_slice(&option(61, &client));
            if !name.is_empty() {
                message.extend_from_slice(&option(12, name.as_bytes()));
            }
            message.extend_from_slice(&option(60, b"MSFT 5.0"));
            if kind == 3 {
                message.extend_from_slice(&option(50, &address.octets()));
                message.extend_from_slice(&option(54, &server_address.octets()));
                if !name.is_empty() {
                    let full = format!("{name}.{DOMAIN}");
                    message.extend_from_slice(&option(81, &[&[0, 0, 0][..], full.as_bytes()].concat()));
                }
            }
            message.extend_from_slice(&option(55, &[1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252]));
        } else {
            message.extend_from_slice(&option(54, &server_address.octets()));
            message.extend_from_slice(&option(51, &28_800_u32.to_be_bytes()));
            message.extend_from_slice(&option(1, &[255, 255, 255, 0]));
            message.extend_from_slice(&option(3, &[address.octets()[0], address.octets()[1], address.octets()[2], 1]));
            message.extend_from_slice(&option(6, &server_address.octets()));
            message.extend_from_slice(&option(15, DOMAIN.as_bytes()));
        }
        message.push(255);
        let (src, dst, ports) = match asks {
            true => (any, all, (68, 67)),
            false => (server_address, address, (67, 68)),
        };
        let datagram = udp(src.into(), dst.into(), ports.0, ports.1, &message);
        let packet = super::net::ipv4(src, dst, super::net::UDP, 128, id as u16 ^ u16::from(kind), 0, &datagram);
        let (from, to) = if asks { (mac, [0xff; 6]) } else { (server.mac(), mac) };
        wire.push(now, ethernet(from, to, super::net::IPV4, &packet));
        now += 4 * MS;
    }
    now
}

fn option(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, value.len() as u8][..], value].concat()
}

/// A question for the time and its answer (RFC 5905 §7.3).
pub(crate) fn ntp(wire: &mut Wire, at: Nanos, client: &Host, server: &Host) -> Nanos {
    // Seconds since 1900 and a binary fraction.
    let stamp = |ts: Nanos| {
        let seconds = (ts / 1_000_000_000 + 2_208_988_800) as u32;
        let fraction = ((ts % 1_000_000_000) << 32) / 1_000_000_000;
        [seconds.to_be_bytes(), (fraction as u32).to_be_bytes()].concat()
    };
    let pause = if server.is_inside() { MS / 2 } else { wire.random.between(8 * MS, 30 * MS) };
    let mut ask = vec![0xe3, 0, 6, 0xe9, 0, 0, 0, 0, 0, 1, 0, 0];
    ask.resize(40, 0);
    ask.extend(stamp(at));
    let mut answer = vec![0x24, 2, 6, 0xe9, 0, 0, 0x0a, 0, 0, 0, 0x0c, 0, 192, 0, 2, 123];
    for ts in [at - 60_000 * MS, at, at + pause / 2, at + pause / 2 + 20_000] {
        answer.extend(stamp(ts));
    }
    wire.udp(at, (client, 123), (server, 123), &ask);
    wire.udp(at + pause, (server, 123), (client, 123), &answer);
    at + pause
}
