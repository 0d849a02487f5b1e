//! The list of files in `pcaps/`: path, what it shows, who makes it.

use super::attack::{self, Campaign, Chain, Door};
use super::covert;
use super::file::pcap;
use super::hostile;
use super::office::{Office, Place};
use super::protocol::{files, links, names, services, turns, web, windows};
use super::quiet;
use super::site;

/// One shipped capture.
pub(crate) struct Capture {
    /// Below `pcaps/`.
    pub(crate) path: &'static str,
    /// One line for the table.
    pub(crate) shows: &'static str,
    /// Its bytes.
    pub(crate) make: fn() -> Vec<u8>,
}

const fn capture(path: &'static str, shows: &'static str, make: fn() -> Vec<u8>) -> Capture {
    Capture { path, shows, make }
}

/// In the order of the table.
pub(crate) const CAPTURES: &[Capture] = &[
    capture(
        "attack/staging-antivirus-push.pcap",
        "the antivirus server pushes to 12 of 40 PCs over its agent port and WinRM; each fetches a script from a cloud \
         tenant and calls back; a software rollout beside it",
        || office(attack::push(&Campaign::usual())),
    ),
    capture(
        "attack/staging-antivirus-pull.pcap",
        "12 of 40 PCs pull a poisoned update at their hourly report and call back; no execution mark",
        || office(attack::pull(Place::usual(0x7003))),
    ),
    capture(
        "attack/staging-antivirus-poisoned.pcap",
        "23 of 40 PCs pull a poisoned update within half an hour, on a morning that `--learn-until` may follow days on",
        || office(attack::poisoned(Place::usual(0x7004))),
    ),
    capture("attack/execution-chain-svcctl.pcap", "a service, then first contact and a beacon", || {
        chain(Door::Svcctl, 1)
    }),
    capture("attack/execution-chain-wmi.pcap", "the same by WMI", || chain(Door::Wmi, 2)),
    capture("attack/execution-chain-winrm.pcap", "the same by WinRM", || chain(Door::Winrm(5985), 3)),
    capture("attack/execution-chain-dcom.pcap", "the same by DCOM", || chain(Door::Dcom, 4)),
    capture("attack/execution-chain-tasksched.pcap", "the same by a scheduled task", || chain(Door::Tasks, 5)),
    capture("attack/beacon-https-60s-jitter20.pcap", "45 connections by a timer", || office(attack::beacon_https())),
    capture("attack/beacon-http-keepalive-5s.pcap", "72 requests by a timer on one connection", || {
        office(attack::beacon_http())
    }),
    capture("attack/dns-tunnel.pcap", "190 look-ups of 52 random letters each, answered by text", || {
        office(covert::dns_tunnel())
    }),
    capture("attack/icmp-tunnel.pcap", "echoes whose answers do not repeat them", || office(covert::icmp_tunnel())),
    capture("attack/service-sweep.pcap", "a PC creates a service on five others within two minutes", || {
        office(covert::sweep())
    }),
    capture("attack/directory-secrets.pcap", "a PC replicates the directory", || office(covert::directory_secrets())),
    capture("attack/coerced-authentication.pcap", "a PC names a path to the domain controller, which comes", || {
        office(covert::coerced())
    }),
    capture("benign/covert-lookalikes.pcap", "reputation look-ups and path MTU tests", || office(covert::lookalikes())),
    capture("benign/office-day.pcap", "three hours of 40 PCs", || office(quiet::office_day(Place::usual(0xda1)))),
    capture("benign/admin-then-browsing.pcap", "an administrator's WinRM command, then twenty ordinary sites", || {
        office(quiet::admin_then_browsing(Place::usual(0xda2)))
    }),
    capture("benign/software-rollout.pcap", "40 PCs told to fetch one tenant", || {
        office(quiet::software_rollout(Place::usual(0xda3)))
    }),
    capture("benign/remote-admin-no-callback.pcap", "five doors used, nobody calls outside", || {
        office(quiet::remote_admin_no_callback(Place::usual(0xda4)))
    }),
    capture("benign/ntp-and-updates.pcap", "as regular as a beacon", || {
        office(quiet::ntp_and_updates(Place::usual(0xda5)))
    }),
    capture("site/address-swap.pcap", "two PCs swap addresses between an act on one of them and its call-back", || {
        office(site::address_swap())
    }),
    capture("site/dual-stack.pcap", "a PC is acted on over IPv4 and calls back over IPv6", || {
        office(site::dual_stack())
    }),
    capture(
        "site/private-mac.pcap",
        "a client changes address and hardware address and keeps its DHCP identifier",
        || pcap(&site::private_mac().finish()),
    ),
    capture("site/nat.pcap", "three operating systems and 400 owners behind one address", || {
        pcap(&site::nat().finish())
    }),
    capture("site/names-shared.pcap", "two names of one address, and nothing on the wire that says which", || {
        pcap(&site::names_shared().finish())
    }),
    capture("site/proxy.pcap", "an act, then script and call-backs through the proxy that everybody uses", || {
        office(site::proxy())
    }),
    capture("site/one-sided.pcap", "a mirror of one direction, with an upload that only acknowledgements show", || {
        office(site::one_sided())
    }),
    capture("protocol/dns-udp.pcap", "look-ups of seven types, an alias, NXDOMAIN, silence", names::dns_udp),
    capture("protocol/dns-tcp.pcap", "two look-ups on one TCP connection, one of 40 records", names::dns_tcp),
    capture("protocol/names-local.pcap", "mDNS, LLMNR, NetBIOS names", names::local),
    capture("protocol/dhcp-lease.pcap", "a lease from the beginning, ARP", names::dhcp),
    capture("protocol/kerberos-logon.pcap", "machine and person get tickets; a wrong password; LDAP", names::kerberos),
    capture("protocol/ssh-session.pcap", "identification strings and key exchange", names::ssh),
    capture("protocol/tls-13.pcap", "hellos of Chromium, with a post-quantum share, of Firefox and Go", web::tls13),
    capture(
        "protocol/tls-12-certificate.pcap",
        "Windows system library, certificate in the clear, resumption",
        web::tls12,
    ),
    capture("protocol/tls-12-noname.pcap", "no server name, port 8443", web::tls12_without_name),
    capture("protocol/tls-13-split.pcap", "one hello in several records and segments", web::tls13_split),
    capture("protocol/quic-v1.pcap", "Initial packets of one and of two datagrams", web::quic_v1),
    capture("protocol/quic-v2.pcap", "RFC 9369", web::quic_v2),
    capture(
        "protocol/quic-retry.pcap",
        "Retry, then a hello of seven pieces in reverse; version negotiation; connection ids that change",
        web::quic_retry,
    ),
    capture("protocol/dtls-webrtc.pcap", "DTLS with a cookie after six STUN datagrams", services::webrtc),
    capture("protocol/tor-link.pcap", "TLS 1.2 with a certificate of two made-up hosts", turns::tor),
    capture("protocol/starttls.pcap", "SMTP, IMAP, POP3, FTP, LDAP, PostgreSQL and RDP turn to TLS", turns::starttls),
    capture("protocol/services.pcap", "thirty protocols, none on its own port", services::all),
    capture("protocol/socks-proxy.pcap", "HTTP behind SOCKS 5, TLS behind SOCKS 4a", turns::socks),
    capture("protocol/ftp-data.pcap", "data connections, passive and active", turns::ftp),
    capture("protocol/http2-clear.pcap", "HTTP/2 by prior knowledge and by upgrade", turns::http2),
    capture("protocol/http-keepalive.pcap", "three requests, a 304, an upload", web::http_keep_alive),
    capture("protocol/http-pipelined.pcap", "four requests before the first answer, port 8080", web::http_pipelined),
    capture("protocol/http-chunked.pcap", "chunks across small segments", web::http_chunked),
    capture("protocol/http-connect.pcap", "TLS within CONNECT; the absolute form", web::http_connect),
    capture("protocol/tcp-trouble.pcap", "retransmission, reset, silence, loss at the sensor", web::tcp_trouble),
    capture("protocol/smb2-share.pcap", "a file read and one written on a share, by Kerberos", windows::share),
    capture("protocol/smb2-svcctl.pcap", "NTLM, ADMIN$, then a service through a pipe", windows::svcctl),
    capture("protocol/smb3-encrypted.pcap", "nothing but sizes after the logon", windows::encrypted),
    capture("protocol/dcerpc-mapped.pcap", "a mapped port, its binds not seen", windows::mapped),
    capture("protocol/dcerpc-tcp.pcap", "endpoint mapper and task scheduler, sealed", windows::tasks),
    capture("protocol/dcerpc-wmi.pcap", "activation and WMI, sealed", windows::wmi),
    capture("protocol/dcerpc-dcom.pcap", "activation and automation, sealed", windows::dcom),
    capture("protocol/winrm-command.pcap", "one command by WS-Management", windows::winrm),
    capture("protocol/winrm-sealed.pcap", "a shell of PowerShell, bodies encrypted", windows::winrm_sealed),
    capture("protocol/winrm-tls.pcap", "a shell of PowerShell within TLS", windows::winrm_tls),
    capture("protocol/vlan-single.pcap", "802.1Q", links::vlan),
    capture("protocol/vlan-qinq.pcap", "802.1ad over 802.1Q", links::qinq),
    capture("protocol/mpls-two.pcap", "two labels", links::mpls),
    capture("protocol/pppoe-session.pcap", "PPPoE session, IPv4 inside", links::pppoe),
    capture("protocol/gre-ip.pcap", "GRE with key", links::gre),
    capture("protocol/vxlan-vni42.pcap", "VXLAN", links::vxlan),
    capture("protocol/geneve-vni42.pcap", "Geneve with an option", links::geneve),
    capture("protocol/gtpu-teid.pcap", "GTP-U", links::gtpu),
    capture("protocol/erspan-i.pcap", "ERSPAN type I", links::erspan_i),
    capture("protocol/erspan-iii.pcap", "ERSPAN type III, with and without subheader", links::erspan_iii),
    capture("protocol/teredo.pcap", "Teredo with authentication and origin indication", links::teredo),
    capture("protocol/erspan-ii.pcap", "ERSPAN type II", links::erspan),
    capture("protocol/ipip-v4.pcap", "IPv4 in IPv4", links::ipip),
    capture("protocol/ipv6-tls.pcap", "DNS and TLS over IPv6", links::ipv6),
    capture("protocol/fragments-udp.pcap", "a DNS answer in three fragments, out of order", links::fragments),
    capture("protocol/duplicates-span.pcap", "every packet twice within 3 ms, other VLAN and TTL", links::duplicates),
    capture("protocol/offload-superframe.pcap", "a segmentation-offload frame and its segments", links::offload),
    capture("protocol/pcap-nanoseconds.pcap", "nanosecond resolution", files::nanoseconds),
    capture("protocol/pcap-bigendian.pcap", "big endian", files::big_endian),
    capture("protocol/pcap-cooked.pcap", "Linux cooked capture", files::cooked),
    capture("protocol/pcap-raw.pcap", "raw IP", files::raw),
    capture("protocol/pcapng-mixed.pcapng", "three interfaces: two link types, three resolutions", files::mixed),
    capture("protocol/pcapng-bigendian.pcapng", "big endian", files::big_endian_ng),
    capture("protocol/pcap-gzip.pcap.gz", "gzip", files::gzipped),
    capture("protocol/pcap-zstd.pcap.zst", "Zstandard, two frames", files::zstandard),
    capture("hostile/record-cut.pcap", "the file ends within a record", hostile::record_cut),
    capture("hostile/record-giant.pcap", "a record claims two gigabytes", hostile::record_giant),
    capture("hostile/fragments-overlap.pcap", "fragments that overlap with other bytes", hostile::fragments_overlap),
    capture("hostile/dns-pointer-loop.pcap", "a name that points at itself", hostile::dns_pointer_loop),
    capture(
        "hostile/tls-length-lies.pcap",
        "a hello longer than its record, extensions longer than the hello",
        hostile::tls_length_lies,
    ),
    capture(
        "hostile/dcerpc-endless.pcap",
        "a request of 400 fragments, none of them the last",
        hostile::dcerpc_endless,
    ),
    capture(
        "hostile/http2-endless.pcap",
        "a head without end, one that unfolds two hundredfold, streams without end",
        hostile::http2_endless,
    ),
    capture("hostile/text-escapes.pcap", "terminal commands in names and headers", hostile::text_escapes),
];

fn office(office: Office) -> Vec<u8> {
    pcap(&office.wire.finish())
}

fn chain(door: Door, n: u64) -> Vec<u8> {
    office(attack::chain(&Chain::by(door, 0xc0de + n)))
}
