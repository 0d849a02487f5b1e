//! Plans → observations, in the order the sensor's left side would tell them: (ts, uid, n).
//!
//! Flows in the air lie in a slab; a heap holds the next moment of each. Nothing is kept of a flow that ended.

use super::flow::{Client, Flow, Over, Says};
use super::names::Names;
use super::{MS, Ns};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use yukue::event::{
    Channel, ConnState, Counters, Ech, End, Endpoint, Event, FlowRecord, Handshake, HandshakeTransport, Hints,
    Identity, IdentitySource, Observation, PacketRange, Request, Resolution, ResolutionProtocol, Timestamp, Transport,
    Uid,
};

/// Says flows in order.
#[derive(Debug, Default)]
pub(crate) struct Speaker {
    air: Vec<Option<(Flow, u16)>>,
    free: Vec<u32>,
    next: BinaryHeap<Reverse<(Ns, Uid, u32, u32)>>,
    begun: u32,
    /// Observations told.
    pub(crate) told: u64,
}

impl Speaker {
    /// Tells all that happens before `until`, with `flows` (sorted by time) joining in.
    pub(crate) fn say(&mut self, flows: Vec<Flow>, until: Ns, names: &Names, tell: &mut impl FnMut(Observation)) {
        let mut joining = flows.into_iter().peekable();
        loop {
            let due = self.next.peek().map_or(Ns::MAX, |Reverse((ts, ..))| *ts);
            let begins = joining.peek().map_or(Ns::MAX, |flow| flow.ts);
            if due.min(begins) >= until {
                return;
            }
            if begins <= due {
                if let Some(flow) = joining.next() {
                    self.begin(flow);
                }
            } else {
                self.step(names, tell);
            }
        }
    }

    fn begin(&mut self, flow: Flow) {
        self.begun = self.begun.wrapping_add(1);
        // Distinct by the counter, in no order that says anything.
        let uid = Uid([self.begun.wrapping_mul(0x9e37_79b1), self.begun, flow.resp]);
        let port = 49_152 + (self.begun % 16_384) as u16;
        let ts = flow.ts;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.air.push(None);
            (self.air.len() - 1) as u32
        });
        self.air[slot as usize] = Some((flow, port));
        self.next.push(Reverse((ts, uid, 0, slot)));
    }

    fn step(&mut self, names: &Names, tell: &mut impl FnMut(Observation)) {
        let Some(Reverse((ts, uid, n, slot))) = self.next.pop() else { return };
        let Some((flow, port)) = &self.air[slot as usize] else { return };
        let facts = match &flow.says {
            Says::Nothing => 0,
            Says::Facts(facts) => facts.len() as u32,
            Says::Lease(_) => 2,
            _ => 1,
        };
        let (orig, resp) = (endpoint(flow.orig, *port), endpoint(flow.resp, flow.port));
        let transport = match flow.over {
            Over::Tcp => Transport::Tcp,
            Over::Udp => Transport::Udp,
            Over::Icmp => Transport::Icmp,
        };
        let event = match n {
            0 => Event::FlowOpened,
            n if n <= facts => fact(flow, n - 1, Timestamp(ts), names),
            _ => Event::FlowClosed(Box::new(record(flow, Timestamp(ts), orig, resp, transport))),
        };
        let end = flow.ts + i64::from(flow.lasts) * MS;
        let then = match &flow.says {
            _ if n > facts => None,
            _ if n == facts => Some(end.max(ts)),
            Says::Facts(facts) => Some((flow.ts + i64::from(facts[n as usize].0) * MS).max(ts)),
            // Within the flow, as a hello or an answer is.
            _ => Some(ts + (end - ts).min(40 * MS)),
        };
        match then {
            Some(then) => self.next.push(Reverse((then, uid, n + 1, slot))),
            None => {
                self.air[slot as usize] = None;
                self.free.push(slot);
            }
        }
        self.told += 1;
        tell(Observation { ts: Timestamp(ts), uid, n, orig, resp, transport, event });
    }
}

fn endpoint(ip: u32, port: u16) -> Endpoint {
    Endpoint::new(address(ip), port)
}

/// An address as the sensor writes it.
pub(crate) fn address(ip: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(ip))
}

fn fact(flow: &Flow, n: u32, ts: Timestamp, names: &Names) -> Event {
    match &flow.says {
        Says::Tls(name, client) => hello(ts, HandshakeTransport::Tls, &names.text(*name), *client),
        Says::Quic(name, client) => hello(ts, HandshakeTransport::Quic, &names.text(*name), *client),
        Says::Get(name, client) => get(ts, &names.text(*name), *client, flow.down),
        Says::Lookup(name, ip) => lookup(flow.ts, ts, names.text(*name), *ip),
        // The client says its name before it has an address; the server gives the address to the hardware's.
        Says::Lease(host) if n == 0 => identity(None, *host, Some(names.host(*host).into())),
        Says::Lease(host) => identity(Some(address(flow.orig)), *host, None),
        Says::Facts(facts) => facts[n as usize].1.clone(),
        Says::Nothing => Event::FlowOpened,
    }
}

fn identity(ip: Option<IpAddr>, host: u32, hostname: Option<Box<str>>) -> Event {
    let (side, domain, source) = (None, None, IdentitySource::Dhcp);
    Event::Identity(Box::new(Identity { ip, side, mac: Some(mac(host)), client_id: None, hostname, domain, source }))
}

/// From the block for documentation (RFC 7042 §2.1.2), as far as three octets reach.
fn mac(host: u32) -> [u8; 6] {
    let [_, a, b, c] = host.to_be_bytes();
    [0x00, 0x00, 0x5e, a, b, c]
}

/// A client hello with its answer.
pub(crate) fn hello(ts: Timestamp, transport: HandshakeTransport, name: &str, client: Client) -> Event {
    let (ja4, alpn, version): (_, &[&str], _) = match (client, transport) {
        (Client::Chromium, HandshakeTransport::Quic) => ("q13d0312h3_55b375c5d22e_06cda9e17597", &["h3"], "TLSv1.3"),
        (Client::Chromium, _) => ("t13d1516h2_8daaf6152771_e5627efa2ab1", &["h2", "http/1.1"], "TLSv1.3"),
        (Client::Firefox, _) => ("t13d1715h2_5b57614c22b0_3d5424432f57", &["h2", "http/1.1"], "TLSv1.3"),
        (Client::Schannel, _) => ("t12d190800_d83cc789557e_7af1ed941c26", &[], "TLSv1.2"),
        (Client::Go, _) => ("t13d190900_9dc949149365_97f8aa674fd9", &[], "TLSv1.3"),
        (Client::Python, _) => ("t13d181000_85036bcba153_d41ae481755e", &[], "TLSv1.3"),
        (Client::Java, _) => ("t13d491100_bd868743f55c_fa269c3d986d", &[], "TLSv1.3"),
        (Client::Node, _) => ("t13d591000_a33745022dd6_1f22a2ca17c4", &[], "TLSv1.3"),
    };
    Event::Handshake(Box::new(Handshake {
        started: ts,
        transport,
        version: Some(version),
        sni: (!name.is_empty()).then(|| name.into()),
        alpn: alpn.iter().map(|a| (*a).into()).collect(),
        next_protocol: None,
        cipher: Some("TLS_AES_128_GCM_SHA256".into()),
        ja3: None,
        ja3s: None,
        ja4: Some(ja4.into()),
        ech: Some(if client == Client::Chromium { Ech::Offered } else { Ech::Absent }),
        ech_config_id: None,
        quic_version: None,
        resumed: None,
        certificate: None,
    }))
}

fn get(ts: Timestamp, name: &str, client: Client, down: u32) -> Event {
    let user_agent = match client {
        Client::Chromium => {
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
        }
        Client::Firefox => "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
        Client::Schannel => "Microsoft-CryptoAPI/10.0",
        Client::Go => "Go-http-client/1.1",
        Client::Python => "python-requests/2.32.3",
        Client::Java => "Java/17.0.9",
        Client::Node => "node-fetch/1.0",
    };
    request(ts, name, "/", user_agent, None, u64::from(down))
}

/// A request with its answer; `content` is what the body looks like.
pub(crate) fn request(
    ts: Timestamp,
    host: &str,
    uri: &str,
    agent: &str,
    content: Option<&'static str>,
    down: u64,
) -> Event {
    Event::Request(Box::new(Request {
        started: ts,
        method: "GET".into(),
        host: (!host.is_empty()).then(|| host.into()),
        uri: uri.into(),
        user_agent: (!agent.is_empty()).then(|| agent.into()),
        status: Some(200),
        request_body_len: 0,
        response_body_len: down,
        content_type: Some(if content.is_some() { "text/plain" } else { "text/html" }.into()),
        content,
        proxied: false,
    }))
}

fn lookup(asked: Ns, ts: Timestamp, query: Box<str>, ip: u32) -> Event {
    resolution(Timestamp(asked), ts, query, "A", vec![address(ip)], vec![address(ip).to_string().into()])
}

/// A question with its answers.
pub(crate) fn resolution(
    asked: Timestamp,
    ts: Timestamp,
    query: Box<str>,
    qtype: &str,
    addresses: Vec<IpAddr>,
    answers: Vec<Box<str>>,
) -> Event {
    Event::Resolution(Box::new(Resolution {
        asked,
        protocol: ResolutionProtocol::Dns,
        query,
        qtype: qtype.into(),
        rcode: Some("NOERROR".into()),
        ttls: vec![300; answers.len()],
        answers,
        addresses,
        rtt: Some(Duration::from_nanos(ts.0.abs_diff(asked.0))),
        ech: Vec::new(),
    }))
}

/// What a flow must have spoken for this to be known of it.
const fn spoken(event: &Event) -> Option<&'static str> {
    match event {
        Event::Banner(told) => Some(told.protocol),
        Event::Handshake(_) => Some("ssl"),
        Event::Request(_) => Some("http"),
        Event::Resolution(_) => Some("dns"),
        Event::Share(_) | Event::File(_) => Some("smb"),
        Event::Execution(told) if matches!(told.channel, Channel::Winrm) => Some("http"),
        Event::Execution(_) | Event::Rpc(_) => Some("dce_rpc"),
        _ => None,
    }
}

fn record(flow: &Flow, last: Timestamp, orig: Endpoint, resp: Endpoint, transport: Transport) -> FlowRecord {
    let service = match &flow.says {
        Says::Tls(..) => Some("ssl"),
        Says::Quic(..) => Some("quic"),
        Says::Get(..) => Some("http"),
        Says::Lookup(..) => Some("dns"),
        Says::Lease(_) => Some("dhcp"),
        Says::Facts(facts) => facts.iter().find_map(|(_, event)| spoken(event)),
        Says::Nothing => None,
    };
    let packets = |bytes: u32| u64::from(bytes) / 1_400 + 2;
    let (orig_pkts, resp_pkts) = (packets(flow.up), packets(flow.down));
    let answered = flow.down > 0 || flow.over != Over::Tcp;
    let counters = Counters {
        orig_bytes: flow.up.into(),
        resp_bytes: flow.down.into(),
        orig_pkts,
        resp_pkts: if flow.down > 0 { resp_pkts } else { 0 },
    };
    FlowRecord {
        ts: Timestamp(flow.ts),
        last,
        orig,
        resp,
        transport,
        service: service.into_iter().collect(),
        counters,
        orig_ip_bytes: u64::from(flow.up) + orig_pkts * 40,
        resp_ip_bytes: u64::from(flow.down) + counters.resp_pkts * 40,
        missed_bytes: 0,
        conn_state: if answered { ConnState::Sf } else { ConnState::S0 },
        history: match (answered, flow.over) {
            (true, Over::Tcp) => "ShADadFf",
            (true, _) => "Dd",
            (false, _) => "S",
        }
        .into(),
        vlan: [None, None],
        tunnel: Box::new([]),
        end: if flow.over == Over::Tcp && answered { End::Fin } else { End::Idle },
        orig_confidence: 1.0,
        retransmissions: 0,
        packets: PacketRange::default(),
        one_sided: false,
        hints: Hints::default(),
    }
}
