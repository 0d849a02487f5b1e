//! Names from IANA's "Domain Name System (DNS) Parameters": record types and response codes.

use std::borrow::Cow;

/// A record type's name, `TYPE65280` (RFC 3597 §5) when IANA has none. 255 is `ANY` (RFC 8482), not `*`.
pub(super) fn type_name(number: u16) -> Cow<'static, str> {
    let name = match number {
        ANY => Some(&"ANY"),
        99..=128 => TYPES_99.get(usize::from(number.saturating_sub(99))),
        249..=265 => TYPES_249.get(usize::from(number.saturating_sub(249))),
        32768 => Some(&"TA"),
        32769 => Some(&"DLV"),
        _ => TYPES_0.get(usize::from(number)),
    };
    match name {
        Some(&name) if !name.is_empty() => Cow::Borrowed(name),
        _ => Cow::Owned(format!("TYPE{number}")),
    }
}

/// A response code's name, `RCODE12` when IANA has none. `number` includes the bits of EDNS (RFC 6891 §6.1.3).
pub(super) fn rcode_name(number: u16) -> Box<str> {
    match RCODES.get(usize::from(number)) {
        Some(&name) if !name.is_empty() => name.into(),
        _ => format!("RCODE{number}").into(),
    }
}

pub(super) const A: u16 = 1;
pub(super) const NS: u16 = 2;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const PTR: u16 = 12;
pub(super) const HINFO: u16 = 13;
pub(super) const MX: u16 = 15;
pub(super) const TXT: u16 = 16;
pub(super) const AAAA: u16 = 28;
pub(super) const SRV: u16 = 33;
pub(super) const NAPTR: u16 = 35;
pub(super) const DNAME: u16 = 39;
pub(super) const OPT: u16 = 41;
pub(super) const DS: u16 = 43;
pub(super) const SSHFP: u16 = 44;
pub(super) const RRSIG: u16 = 46;
pub(super) const NSEC: u16 = 47;
pub(super) const DNSKEY: u16 = 48;
pub(super) const TLSA: u16 = 52;
pub(super) const SVCB: u16 = 64;
pub(super) const HTTPS: u16 = 65;
pub(super) const SPF: u16 = 99;
pub(super) const ANY: u16 = 255;
pub(super) const CAA: u16 = 257;

const TYPES_0: &[&str] = &[
    "",
    "A",
    "NS",
    "MD",
    "MF",
    "CNAME",
    "SOA",
    "MB",
    "MG",
    "MR",
    "NULL",
    "WKS",
    "PTR",
    "HINFO",
    "MINFO",
    "MX",
    "TXT",
    "RP",
    "AFSDB",
    "X25",
    "ISDN",
    "RT",
    "NSAP",
    "NSAP-PTR",
    "SIG",
    "KEY",
    "PX",
    "GPOS",
    "AAAA",
    "LOC",
    "NXT",
    "EID",
    "NIMLOC",
    "SRV",
    "ATMA",
    "NAPTR",
    "KX",
    "CERT",
    "A6",
    "DNAME",
    "SINK",
    "OPT",
    "APL",
    "DS",
    "SSHFP",
    "IPSECKEY",
    "RRSIG",
    "NSEC",
    "DNSKEY",
    "DHCID",
    "NSEC3",
    "NSEC3PARAM",
    "TLSA",
    "SMIMEA",
    "",
    "HIP",
    "NINFO",
    "RKEY",
    "TALINK",
    "CDS",
    "CDNSKEY",
    "OPENPGPKEY",
    "CSYNC",
    "ZONEMD",
    "SVCB",
    "HTTPS",
    "DSYNC",
    "HHIT",
    "BRID",
];
const TYPES_99: &[&str] = &[
    "SPF", "UINFO", "UID", "GID", "UNSPEC", "NID", "L32", "L64", "LP", "EUI48", "EUI64", "", "", "", "", "", "", "",
    "", "", "", "", "", "", "", "", "", "", "", "NXNAME",
];
const TYPES_249: &[&str] = &[
    "TKEY", "TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY", "URI", "CAA", "AVC", "DOA", "AMTRELAY", "RESINFO",
    "WALLET", "CLA", "IPN",
];
const RCODES: &[&str] = &[
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "DSOTYPENI",
    "",
    "",
    "",
    "",
    "BADVERS",
    "BADKEY",
    "BADTIME",
    "BADMODE",
    "BADNAME",
    "BADALG",
    "BADTRUNC",
    "BADCOOKIE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_say_what_iana_says() {
        for (number, name) in [
            (A, "A"),
            (CNAME, "CNAME"),
            (25, "KEY"),
            (AAAA, "AAAA"),
            (SRV, "SRV"),
            (OPT, "OPT"),
            (DNSKEY, "DNSKEY"),
            (TLSA, "TLSA"),
            (54, "TYPE54"),
            (HTTPS, "HTTPS"),
            (SPF, "SPF"),
            (109, "EUI64"),
            (128, "NXNAME"),
            (249, "TKEY"),
            (252, "AXFR"),
            (ANY, "ANY"),
            (CAA, "CAA"),
            (32769, "DLV"),
            (0, "TYPE0"),
            (65280, "TYPE65280"),
        ] {
            assert_eq!(&*type_name(number), name, "{number}");
        }
        for (number, name) in [(0, "NOERROR"), (3, "NXDOMAIN"), (12, "RCODE12"), (16, "BADVERS"), (23, "BADCOOKIE")] {
            assert_eq!(&*rcode_name(number), name, "{number}");
        }
    }
}
