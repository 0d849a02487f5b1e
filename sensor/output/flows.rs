//! `flows.jsonl`: one line a flow, a valid Zeek `conn.log` in JSON form with our fields after Zeek's.

use super::community;
use super::json::{self, Object};
use crate::event::{Endpoint, FlowRecord, Observation, Uid};
use std::time::Duration;

/// What the right side knows about a flow when its record is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlowExtras<'a> {
    /// Best name of the responder and where it came from (`sni`, `http`, `dns`).
    pub(crate) name: Option<(&'a str, &'static str)>,
    /// Names that look-ups gave the responder, when they are several and none was on the wire.
    pub(crate) names: &'a [&'a str],
    pub(crate) provider: Option<&'a str>,
    pub(crate) class: Option<&'a str>,
    /// Whether the originator is inside.
    pub(crate) local_orig: bool,
    /// Whether the responder is inside.
    pub(crate) local_resp: bool,
    /// Of a handshake: the name that a look-up told its encrypted hello would show.
    pub(crate) ech_public_name: Option<&'a str>,
}

/// One flow's object. The endpoints are the record's: orientation may have been settled after the first packet.
pub(super) fn write(out: &mut Vec<u8>, seen: &Observation, flow: &FlowRecord, extras: &FlowExtras<'_>) {
    let mut line = Object::open(out);
    line.moment("ts", flow.ts);
    uid(&mut line, seen.uid);
    endpoints(&mut line, flow.orig, flow.resp);
    line.text("proto", flow.transport.name());
    if !flow.service.is_empty() {
        let out = line.key("service");
        let mut before = b'"';
        for service in &flow.service {
            out.push(before);
            out.extend_from_slice(service.as_bytes());
            before = b',';
        }
        out.push(b'"');
    }
    // As in Zeek, a flow of one packet has no duration.
    let duration = flow.last.since(flow.ts);
    if duration > Duration::ZERO {
        line.span("duration", duration);
    }
    line.number("orig_bytes", flow.counters.orig_bytes);
    line.number("resp_bytes", flow.counters.resp_bytes);
    line.text("conn_state", flow.conn_state.name());
    line.flag("local_orig", extras.local_orig);
    line.flag("local_resp", extras.local_resp);
    line.number("missed_bytes", flow.missed_bytes);
    line.text("history", &flow.history);
    line.number("orig_pkts", flow.counters.orig_pkts);
    line.number("orig_ip_bytes", flow.orig_ip_bytes);
    line.number("resp_pkts", flow.counters.resp_pkts);
    line.number("resp_ip_bytes", flow.resp_ip_bytes);
    let out = line.key("community_id");
    out.push(b'"');
    community::write(out, flow.orig, flow.resp, flow.transport);
    out.push(b'"');
    let [vlan, inner_vlan] = flow.vlan;
    line.known_number("vlan", vlan);
    line.known_number("inner_vlan", inner_vlan);
    if !flow.tunnel.is_empty() {
        json::list(line.key("tunnel"), &flow.tunnel, |out, layer| {
            out.push(b'"');
            out.extend_from_slice(layer.name.as_bytes());
            if let Some(id) = layer.id {
                out.push(b':');
                json::number(out, id.into());
            }
            out.push(b'"');
        });
    }
    line.text("end", flow.end.name());
    if let Some((value, source)) = extras.name.filter(|(value, _)| !value.is_empty()) {
        line.object("name", |name| {
            name.text("value", value);
            name.text("source", source);
        });
    }
    line.texts("names", extras.names);
    line.known("provider", extras.provider);
    line.known("class", extras.class);
    if flow.orig_confidence < 1.0 {
        line.real("orig_confidence", f64::from(flow.orig_confidence));
    }
    if flow.retransmissions > 0 {
        line.number("retransmissions", flow.retransmissions);
    }
    if flow.one_sided {
        line.flag("one_sided", true);
        if flow.hints.unseen_bytes > 0 {
            line.number("unseen_bytes", flow.hints.unseen_bytes);
        }
    }
    line.close();
}

/// The flow's identifier.
pub(super) fn uid(line: &mut Object<'_>, uid: Uid) {
    quoted_uid(line.key("uid"), uid);
}

pub(super) fn quoted_uid(out: &mut Vec<u8>, uid: Uid) {
    out.push(b'"');
    out.extend_from_slice(&uid.text());
    out.push(b'"');
}

/// Zeek's four `id.*` fields.
pub(super) fn endpoints(line: &mut Object<'_>, orig: Endpoint, resp: Endpoint) {
    line.ip("id.orig_h", orig.ip);
    line.number("id.orig_p", orig.port);
    line.ip("id.resp_h", resp.ip);
    line.number("id.resp_p", resp.port);
}
