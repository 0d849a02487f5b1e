//! `facts.jsonl`: one line an observation of the application layer, its kind in `kind`.

use super::flows::{FlowExtras, endpoints, uid};
use super::json::Object;
use crate::event::{
    Authentication, Banner, Certificate, Ech, Event, Execution, File, Handshake, Identity, Observation, Request,
    Resolution, Rpc, Share, Uid, Weird,
};
use std::io::Write as _;

/// One fact's object; false, and nothing written, when the observation is no fact of the application layer.
pub(super) fn write(out: &mut Vec<u8>, seen: &Observation, extras: &FlowExtras<'_>) -> bool {
    let (kind, began) = match &seen.event {
        Event::FlowOpened | Event::FlowProgress(_) | Event::FlowClosed(_) => return false,
        Event::Resolution(fact) => ("resolution", fact.asked),
        Event::Handshake(fact) => ("handshake", fact.started),
        Event::Request(fact) => ("request", fact.started),
        Event::Execution(_) => ("execution", seen.ts),
        Event::Rpc(_) => ("rpc", seen.ts),
        Event::Share(_) => ("share", seen.ts),
        Event::File(_) => ("file", seen.ts),
        Event::Authentication(_) => ("authentication", seen.ts),
        Event::Identity(_) => ("identity", seen.ts),
        Event::Banner(_) => ("banner", seen.ts),
        Event::Weird(_) => ("weird", seen.ts),
    };
    let mut line = Object::open(out);
    line.moment("ts", began);
    if seen.uid != Uid::NONE {
        uid(&mut line, seen.uid);
        endpoints(&mut line, seen.orig, seen.resp);
    }
    line.text("kind", kind);
    match &seen.event {
        Event::FlowOpened | Event::FlowProgress(_) | Event::FlowClosed(_) => {}
        Event::Resolution(fact) => resolution(&mut line, fact),
        Event::Handshake(fact) => handshake(&mut line, fact, extras),
        Event::Request(fact) => request(&mut line, fact),
        Event::Execution(fact) => execution(&mut line, fact),
        Event::Rpc(fact) => rpc(&mut line, fact),
        Event::Share(fact) => share(&mut line, fact),
        Event::File(fact) => file(&mut line, fact),
        Event::Authentication(fact) => authentication(&mut line, fact),
        Event::Identity(fact) => identity(&mut line, fact),
        Event::Banner(fact) => banner(&mut line, fact),
        Event::Weird(fact) => weird(&mut line, fact),
    }
    line.close();
    true
}

fn resolution(line: &mut Object<'_>, fact: &Resolution) {
    line.text("protocol", fact.protocol.name());
    line.text("query", &fact.query);
    line.text("qtype", &fact.qtype);
    line.known("rcode", fact.rcode.as_deref());
    line.texts("answers", &fact.answers);
    line.numbers("ttls", &fact.ttls);
    if let Some(rtt) = fact.rtt {
        line.span("rtt", rtt);
    }
}

fn handshake(line: &mut Object<'_>, fact: &Handshake, extras: &FlowExtras<'_>) {
    line.text("transport", fact.transport.name());
    line.known("version", fact.version);
    line.known("sni", fact.sni.as_deref());
    line.texts("alpn", &fact.alpn);
    line.known("next_protocol", fact.next_protocol.as_deref());
    line.known("cipher", fact.cipher.as_deref());
    line.known("ja3", fact.ja3.as_deref());
    line.known("ja3s", fact.ja3s.as_deref());
    line.known("ja4", fact.ja4.as_deref());
    line.known("ech", fact.ech.map(Ech::name));
    line.known_number("ech_config_id", fact.ech_config_id);
    line.known("ech_public_name", extras.ech_public_name);
    line.known("quic_version", fact.quic_version.as_deref());
    if let Some(resumed) = fact.resumed {
        line.flag("resumed", resumed);
    }
    if let Some(leaf) = &fact.certificate {
        line.object("certificate", |line| certificate(line, leaf));
    }
}

fn certificate(line: &mut Object<'_>, leaf: &Certificate) {
    line.text("subject", &leaf.subject);
    line.text("issuer", &leaf.issuer);
    line.texts("san", &leaf.san);
    line.moment("not_before", leaf.not_before);
    line.moment("not_after", leaf.not_after);
    line.text("sha256", &leaf.sha256);
    line.flag("self_signed", leaf.self_signed);
}

fn request(line: &mut Object<'_>, fact: &Request) {
    line.text("method", &fact.method);
    line.known("host", fact.host.as_deref());
    line.text("uri", &fact.uri);
    line.known("user_agent", fact.user_agent.as_deref());
    line.known_number("status", fact.status);
    line.number("request_body_len", fact.request_body_len);
    if fact.status.is_some() {
        line.number("response_body_len", fact.response_body_len);
    }
    line.known("content_type", fact.content_type.as_deref());
    line.known("content", fact.content);
    line.flag("proxied", fact.proxied);
}

fn execution(line: &mut Object<'_>, fact: &Execution) {
    line.text("channel", fact.channel.name());
    line.text("act", fact.act.name());
    line.known("interface", fact.interface.as_deref());
    line.known_number("opnum", fact.opnum);
    line.known("operation", fact.operation.as_deref());
    line.known("endpoint", fact.endpoint.as_deref());
    line.known("clsid", fact.clsid.as_deref());
    line.known("technique", fact.technique);
}

fn rpc(line: &mut Object<'_>, fact: &Rpc) {
    line.known("interface", fact.interface.as_deref());
    line.number("opnum", fact.opnum);
    line.known("operation", fact.operation.as_deref());
    line.known("endpoint", fact.endpoint.as_deref());
}

fn share(line: &mut Object<'_>, fact: &Share) {
    line.text("path", &fact.path);
    line.known("share_type", fact.share_type);
}

fn file(line: &mut Object<'_>, fact: &File) {
    line.known("share", fact.share.as_deref());
    line.text("path", &fact.path);
    line.text("action", fact.action.name());
    line.known_number("bytes", fact.bytes);
}

fn authentication(line: &mut Object<'_>, fact: &Authentication) {
    line.text("protocol", fact.protocol.name());
    line.known("user", fact.user.as_deref());
    line.known("domain", fact.domain.as_deref());
    line.known("host", fact.host.as_deref());
    line.known("service", fact.service.as_deref());
    line.known("etype", fact.etype.as_deref());
    line.known("result", fact.result);
    line.known("error", fact.error.as_deref());
}

fn identity(line: &mut Object<'_>, fact: &Identity) {
    // Who asks for an address by DHCP has none yet.
    if let Some(ip) = fact.ip.filter(|ip| !ip.is_unspecified()) {
        line.ip("ip", ip);
    }
    if let Some([a, b, c, d, e, f]) = fact.mac {
        let _ = write!(line.key("mac"), "\"{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}\""); // A Vec takes all.
    }
    line.known("client_id", fact.client_id.as_deref());
    line.known("hostname", fact.hostname.as_deref());
    line.known("domain", fact.domain.as_deref());
    line.text("source", fact.source.name());
}

fn banner(line: &mut Object<'_>, fact: &Banner) {
    line.text("protocol", fact.protocol);
    line.text("from", fact.from.name());
    line.text("software", &fact.software);
    line.known("hassh", fact.hassh.as_deref());
}

fn weird(line: &mut Object<'_>, fact: &Weird) {
    line.text("name", fact.oddity.name());
    line.known("detail", fact.detail.as_deref());
}
