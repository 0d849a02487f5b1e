//! Records of every kind for the tests of this stage: once with all that can be known, once with the least.

use super::claims::Sources;
use super::summary::{Baseline, Identities, Input, Inside, Summary, Visibility};
use super::trail::Trail;
use crate::alert::{Alert, Kind, Network, Sight, Stated, Status};
use crate::base::Text;
use crate::campaign::{Advice, DestinationKind, HostId, Scope, ScopeDestination, ScopeHost, ScopeServer, Tier};
use crate::detect::{Against, Entity, Evidence, Finding, Role, Severity, Value};
use crate::event::{
    Act, Authentication, AuthenticationProtocol, Banner, Certificate, Channel, ConnState, Counters, Direction, Ech,
    EchConfig, End, Endpoint, Event, Execution, File, FileAction, FlowRecord, Handshake, HandshakeTransport, Hints,
    Identity, IdentitySource, Layer, Observation, Oddity, PacketRange, Request, Resolution, ResolutionProtocol, Rpc,
    Share, Timestamp, Transport, Uid, Weird,
};
use std::sync::LazyLock;
use std::time::Duration;

/// Text nobody should ever send, as any name from the wire may be.
pub(super) const HOSTILE: &str = "a\"\\\u{1b}[2J\u{202e}\r\n\u{0}行方\u{fffd}";

const T: Timestamp = Timestamp::new(1_600_585_066, 123_456_000);

fn some(text: &str) -> Option<Box<str>> {
    Some(text.into())
}

/// One observation around an event.
pub(super) fn seen(event: Event) -> Observation {
    let end = |ip: &str, port| Endpoint::new(ip.parse().unwrap(), port);
    Observation {
        ts: T,
        uid: Uid([1, 2, 3]),
        n: 0,
        orig: end("172.18.39.5", 50123),
        resp: end("2001:db8::5", 443),
        transport: Transport::Tcp,
        event,
    }
}

/// A flow with everything a flow can have.
pub(super) fn flow() -> FlowRecord {
    let Observation { orig, resp, .. } = seen(Event::FlowOpened);
    FlowRecord {
        ts: T,
        last: T.plus(Duration::from_micros(2_500_000)),
        orig,
        resp,
        transport: Transport::Tcp,
        service: vec!["gssapi", "smb", "dce_rpc"],
        counters: Counters { orig_bytes: 10, resp_bytes: 20, orig_pkts: 3, resp_pkts: 4 },
        orig_ip_bytes: 130,
        resp_ip_bytes: 180,
        missed_bytes: 7,
        conn_state: ConnState::Sf,
        history: "ShADadFf".into(),
        vlan: [Some(10), Some(20)],
        tunnel: [Layer { name: "vxlan", id: Some(42) }, Layer { name: "gre", id: None }].into(),
        end: End::Fin,
        orig_confidence: 0.5,
        retransmissions: 2,
        packets: PacketRange { input: 0, first: 3, last: 12 },
        one_sided: true,
        hints: Hints { hop_limit: Some(127), syn: Some(7), unseen_bytes: 48_000 },
    }
}

/// A flow of one packet, nothing known beyond it.
pub(super) fn bare_flow() -> FlowRecord {
    FlowRecord {
        last: T,
        service: Vec::new(),
        counters: Counters { orig_pkts: 1, ..Counters::default() },
        missed_bytes: 0,
        conn_state: ConnState::S0,
        history: "S".into(),
        vlan: [None, None],
        tunnel: Box::new([]),
        end: End::Idle,
        orig_confidence: 1.0,
        retransmissions: 0,
        one_sided: false,
        hints: Hints::default(),
        ..flow()
    }
}

/// At least two of every kind.
pub(super) fn observations() -> Vec<Observation> {
    let mut all = vec![Event::FlowOpened, Event::FlowProgress(Counters::default())];
    all.extend([flow(), bare_flow()].map(|f| Event::FlowClosed(Box::new(f))));
    all.extend(resolutions().map(|f| Event::Resolution(Box::new(f))));
    all.extend(handshakes().map(|f| Event::Handshake(Box::new(f))));
    all.extend(requests().map(|f| Event::Request(Box::new(f))));
    all.extend(executions().map(|f| Event::Execution(Box::new(f))));
    let rpc = Rpc {
        interface: some("367abb81-9844-35f1-ad32-98f038001003"),
        opnum: 12,
        operation: some("CreateServiceW"),
        endpoint: some(r"ncacn_np:\pipe\svcctl"),
    };
    all.extend(
        [rpc, Rpc { interface: None, opnum: 0, operation: None, endpoint: None }].map(|f| Event::Rpc(Box::new(f))),
    );
    let share = |share_type| Share { path: r"\\172.18.39.6\ADMIN$".into(), share_type };
    all.extend([share(Some("disk")), share(None)].map(|f| Event::Share(Box::new(f))));
    let file = |bytes: Option<u64>| File {
        share: bytes.and_then(|_| some(r"\\ws6\ADMIN$")),
        path: r"Temp\x.dll".into(),
        action: FileAction::Write,
        bytes,
    };
    all.extend([file(Some(4096)), file(None)].map(|f| Event::File(Box::new(f))));
    all.extend(authentications().map(|f| Event::Authentication(Box::new(f))));
    all.extend(identities().map(|f| Event::Identity(Box::new(f))));
    let banner = |hassh| Banner { protocol: "ssh", from: Direction::Resp, software: HOSTILE.into(), hassh };
    all.extend([banner(some("ec7378c1a92f5a8dde7e8b7a1ddf33d1")), banner(None)].map(|f| Event::Banner(Box::new(f))));
    let weird = |detail| Weird { oddity: Oddity::ParserMalformed, detail };
    all.extend([weird(some(HOSTILE)), weird(None)].map(|f| Event::Weird(Box::new(f))));
    let mut all: Vec<_> = all.into_iter().map(seen).collect();
    let [_, arp] = identities();
    all.push(Observation { uid: Uid::NONE, ..seen(Event::Identity(Box::new(arp))) });
    all
}

/// One of every kind with `text` in its fields of free text.
pub(super) fn observations_with(text: &str) -> Vec<Observation> {
    let free = || some(text);
    let ([resolution, _], [handshake, _], [request, _]) = (resolutions(), handshakes(), requests());
    let ([execution, _], [authentication, _], [identity, _]) = (executions(), authentications(), identities());
    [
        Event::Resolution(Box::new(Resolution { query: text.into(), answers: vec![text.into()], ..resolution })),
        Event::Handshake(Box::new(Handshake { sni: free(), alpn: vec![text.into()], ..handshake })),
        Event::Request(Box::new(Request { host: free(), uri: text.into(), user_agent: free(), ..request })),
        Event::Execution(Box::new(Execution { operation: free(), endpoint: free(), ..execution })),
        Event::Rpc(Box::new(Rpc { interface: None, opnum: 1, operation: free(), endpoint: free() })),
        Event::Share(Box::new(Share { path: text.into(), share_type: None })),
        Event::File(Box::new(File { share: free(), path: text.into(), action: FileAction::Read, bytes: None })),
        Event::Authentication(Box::new(Authentication { user: free(), host: free(), ..authentication })),
        Event::Identity(Box::new(Identity { hostname: free(), domain: free(), ..identity })),
        Event::Banner(Box::new(Banner { protocol: "ftp", from: Direction::Orig, software: text.into(), hassh: None })),
        Event::Weird(Box::new(Weird { oddity: Oddity::DnsMalformed, detail: free() })),
    ]
    .into_iter()
    .map(seen)
    .collect()
}

fn resolutions() -> [Resolution; 2] {
    let whole = Resolution {
        asked: T,
        protocol: ResolutionProtocol::Dns,
        query: HOSTILE.into(),
        qtype: "A".into(),
        rcode: some("NOERROR"),
        answers: vec!["198.51.100.7".into(), HOSTILE.into()],
        addresses: vec!["198.51.100.7".parse().unwrap()],
        ttls: vec![60, 0],
        rtt: Some(Duration::from_micros(1_234)),
        ech: vec![EchConfig { id: 7, public_name: HOSTILE.into() }],
    };
    let least =
        Resolution { rcode: None, answers: vec![], addresses: vec![], ttls: vec![], rtt: None, ..whole.clone() };
    [whole, least]
}

fn handshakes() -> [Handshake; 2] {
    let whole = Handshake {
        started: T,
        transport: HandshakeTransport::Quic,
        version: Some("TLSv1.3"),
        sni: some(HOSTILE),
        alpn: vec!["h3".into(), "h2".into()],
        next_protocol: some("h3"),
        cipher: some("TLS_AES_128_GCM_SHA256"),
        ja3: some("0149f47eabf9a20d0893e2a44e5a6323"),
        ja3s: some("0149f47eabf9a20d0893e2a44e5a6323"),
        ja4: some("t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"),
        ech: Some(Ech::Offered),
        ech_config_id: Some(7),
        quic_version: some("1"),
        resumed: Some(false),
        certificate: Some(Box::new(Certificate {
            subject: "CN=a.example".into(),
            issuer: "CN=a.example".into(),
            san: vec!["a.example".into()],
            not_before: T,
            not_after: T,
            sha256: "00".repeat(32).into(),
            self_signed: true,
        })),
    };
    let least = Handshake {
        transport: HandshakeTransport::Tls,
        version: None,
        sni: None,
        alpn: vec![],
        next_protocol: None,
        cipher: None,
        ja3: None,
        ja3s: None,
        ja4: None,
        ech: None,
        ech_config_id: None,
        quic_version: None,
        resumed: None,
        certificate: None,
        ..whole.clone()
    };
    [whole, least]
}

fn requests() -> [Request; 2] {
    let whole = Request {
        started: T,
        method: "POST".into(),
        host: some(HOSTILE),
        uri: HOSTILE.into(),
        user_agent: some(HOSTILE),
        status: Some(200),
        request_body_len: 10,
        response_body_len: 0,
        content_type: some("text/plain"),
        content: Some("powershell"),
        proxied: true,
    };
    let least =
        Request { host: None, user_agent: None, status: None, content_type: None, content: None, ..whole.clone() };
    [whole, least]
}

fn executions() -> [Execution; 2] {
    let whole = Execution {
        channel: Channel::Svcctl,
        act: Act::Execute,
        interface: some("367abb81-9844-35f1-ad32-98f038001003"),
        opnum: Some(19),
        operation: some("StartServiceW"),
        endpoint: some(r"ncacn_np:\pipe\svcctl"),
        clsid: some("9ba05972-f6a8-11cf-a442-00a0c90a8f39"),
        technique: Some("T1569.002"),
    };
    let least = Execution {
        channel: Channel::Winrm,
        interface: None,
        opnum: None,
        operation: None,
        endpoint: None,
        clsid: None,
        technique: None,
        ..whole.clone()
    };
    [whole, least]
}

fn authentications() -> [Authentication; 2] {
    let whole = Authentication {
        protocol: AuthenticationProtocol::Kerberos,
        user: some("pgustavo"),
        domain: some("CORP"),
        host: some("WS5"),
        service: some("cifs/ws6"),
        etype: some("aes256-cts-hmac-sha1-96"),
        result: Some("failure"),
        error: some("KDC_ERR_PREAUTH_REQUIRED"),
    };
    let least = Authentication {
        protocol: AuthenticationProtocol::Ntlm,
        user: None,
        domain: None,
        host: None,
        service: None,
        etype: None,
        result: None,
        error: None,
    };
    [whole, least]
}

fn identities() -> [Identity; 2] {
    let whole = Identity {
        ip: Some("172.18.39.5".parse().unwrap()),
        side: None,
        mac: Some([0, 0x1b, 0x2c, 0, 0xff, 1]),
        client_id: some("00020000ab11"),
        hostname: some(HOSTILE),
        domain: some("CORP"),
        source: IdentitySource::Dhcp,
    };
    let least = Identity {
        ip: Some("0.0.0.0".parse().unwrap()),
        mac: None,
        client_id: None,
        hostname: None,
        domain: None,
        source: IdentitySource::Arp,
        ..whole.clone()
    };
    [whole, least]
}

/// A finding with every kind of reason.
pub(super) fn stated() -> Stated {
    Stated { finding: finding(), not_visible: alert().not_visible.into() }
}

/// The claim of it.
pub(super) fn finding() -> Finding {
    let reason = |measure, observed, against, unit| Evidence { measure, observed, against, unit };
    Finding {
        id: "execution_chain-18525-5f2a".into(),
        detector: "execution_chain",
        time: T,
        first_seen: T,
        last_seen: T.plus(Duration::from_secs(2)),
        severity: Severity::High,
        score: 0.93,
        p: Some(0.001),
        title: Text::verbatim("A service was started on 172.18.39.6 from 172.18.39.5, then it called out"),
        explanation: Text::verbatim(&format!(
            "172.18.39.5 started a service on 172.18.39.6; 1.2 s later it went to {HOSTILE}."
        )),
        attack: vec!["T1569.002".into(), "T1021.002".into()],
        entities: vec![
            Entity { role: Role::StagingServer, ip: Some("172.18.39.5".parse().unwrap()), name: some("WS5") },
            Entity { role: Role::AffectedHost, ip: Some("172.18.39.6".parse().unwrap()), name: None },
            Entity { role: Role::Destination, ip: Some("10.10.10.5".parse().unwrap()), name: some(HOSTILE) },
            Entity { role: Role::Resolver, ip: None, name: some("ns.example") },
        ],
        reasons: vec![
            reason("delay", Value::Number(1.2), Against::Limit(Value::Number(300.0)), "seconds"),
            reason("hosts", Value::Count(1), Against::Usual(Value::Count(0)), "hosts"),
            reason("rhythm", Value::Number(5.2), Against::Weight(5.0), "seconds"),
            reason("operation", Value::Text(HOSTILE.into()), Against::Nothing, ""),
        ],
        uids: vec![Uid([1, 2, 3]), Uid([4, 5, 6])],
    }
}

/// An alert with a whole scope.
pub(super) fn alert() -> Alert {
    Alert {
        finding: finding(),
        kind: Kind::ExecutionChain,
        tier: 2,
        status: Status::Open,
        absorbed_by: None,
        allowed: None,
        scope: Some(Scope {
            servers: vec![ScopeServer {
                id: HostId(4),
                ip: "172.18.39.5".parse().unwrap(),
                name: some("WS5"),
                p: Some(0.01),
                hop: 0,
            }],
            hosts: vec![ScopeHost {
                id: HostId(7),
                key: some("mac:00:00:5e:00:53:07"),
                ip: "172.18.39.6".parse().unwrap(),
                name: None,
                tier: Tier::Confirmed,
                first_seen: T,
                last_seen: T,
                bytes_out: 5_000_000,
                attribution: Some(0.9),
            }],
            destinations: vec![ScopeDestination {
                value: HOSTILE.into(),
                kind: DestinationKind::Name,
                ips: vec!["10.10.10.5".parse().unwrap()],
                first_seen: T,
                last_seen: T,
                hosts: 1,
                bytes_out: 5_000_000,
                collateral_hosts: 0,
                advice: Advice::Block,
            }],
        }),
        not_visible: vec![Text::verbatim("no baseline: what is usual for these hosts is not known")],
    }
}

/// A summary with something to say everywhere.
pub(super) fn summary() -> Summary {
    let whole = Input {
        path: HOSTILE.into(),
        sha256: "00".repeat(32),
        bytes: 1_900_000_000,
        packets: 2_841_002,
        first: Some(T),
        last: Some(T.plus(Duration::from_secs(33_000))),
        links: vec![1, 113, 999],
        damage: Some("cut within packet 2,841,003 at byte 1,899,999,000".into()),
        truncated: 1,
        dropped: 2,
        duplicates: 28_000,
        back_steps: 3,
        largest_back: Duration::from_millis(2500),
        longest_silence: Duration::from_secs(61),
        sight: sight(),
    };
    Summary {
        version: "0.1.0",
        rules: "00".repeat(32),
        input: vec![whole, Input { path: "empty.pcap".into(), sha256: "00".repeat(32), ..Input::default() }],
        packets: 2_841_002,
        bytes: 1_850_000_000,
        flows: 182_344,
        hosts: 214,
        visibility: Visibility {
            truncated_packets: 1,
            duplicate_packets: 28_000,
            late_packets: 3,
            dropped_packets: Some(0),
            missed_bytes: 3_000_000,
            payload_bytes: 997_000_000,
            one_way_flows: 2_000,
            filtered_packets: 4,
            peak_flows: 21_000,
            evicted_flows: 5,
            unread_flows: 6,
            evicted_entries: 7,
            evicted: vec![("flow.flows", 5), ("names.by_client", 7)],
            outbound_flows: 100_000,
            nameless_flows: 4_000,
            internal_flows: 0,
            sight: sight(),
            networks: vec![Network { prefix: "10.0.0.0/24".parse().unwrap(), sight: sight(), paths: 3 }],
            decoded: vec![("tcp", 2), ("fragments_overlapping", 1)],
            undecoded: vec![("ethertype_0x88cc".into(), 12)],
            weird: vec![("tls_malformed", 2)],
        },
        identity: Identities {
            moves: 3,
            conflicts: 1,
            disbelieved: 0,
            joined: 1,
            joins: vec![("10.0.0.7".parse().unwrap(), "2001:db8::7".parse().unwrap(), "mac")],
            unsteady: vec!["10.0.0.9".parse().unwrap()],
            disagreements: vec![("10.0.0.5".parse().unwrap(), "epp01".into(), HOSTILE.into())],
            shared: vec![("10.0.0.8".parse().unwrap(), "proxy")],
        },
        baseline: Baseline::default(),
        inside: Inside { assumed: true, hint: Some("10.10.10.5 behaves like a controller".into()) },
        elapsed_s: 41.25,
        interrupted: true,
    }
}

fn sight() -> Sight {
    Sight {
        flows: 1000,
        outbound_flows: 900,
        nameless_flows: 36,
        internal_flows: 100,
        one_sided_flows: 11,
        inferred_bytes: 70_000,
        payload_bytes: 997_000_000,
        missed_bytes: 3_000_000,
        hellos: 800,
        hidden_names: 8,
        ech_hellos: 400,
        encrypted_dns_flows: 2,
        lookups: 500,
        named_on_wire: 800,
        looked_up: 790,
    }
}

/// Where the packets of the sample claims lie.
pub(super) fn trail() -> Trail {
    let mut trail = Trail::default();
    for uid in finding().uids.iter().chain(&alert().finding.uids) {
        trail.note(*uid, PacketRange { input: 0, first: 3, last: 12 });
    }
    trail
}

/// The sample trail in a file of a hostile name.
pub(super) fn sources(trail: &Trail) -> Sources<'_> {
    static INPUTS: LazyLock<Vec<Input>> = LazyLock::new(|| summary().input);
    Sources { trail, inputs: &INPUTS }
}
