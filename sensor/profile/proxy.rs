//! Flows through a proxy of the site: the client and the true destination (RFC 9110 §9.3.6, RFC 9112 §3.2.2).
//!
//! Limits: several CONNECTs on one connection cannot be; the addresses a proxy goes to are not the client's to know, so
//! destinations are told by name alone.

use super::activity::Activity;
use super::declared::HostRole;
use super::flows::{OpenFlow, Via};
use super::read::is_unicast;
use super::shared::SharedBy;
use super::{HostId, Profiles};
use crate::base::Endpoint;
use crate::event::{Observation, Reach, Request};
use std::net::IpAddr;

impl Profiles {
    /// A host asks a proxy of the site for somebody outside: from here on that is whom the flow is with. Where that is, the
    /// proxy alone knows, so its address stays open.
    pub(super) fn through_proxy(&mut self, seen: &Observation, request: &Request, out: &mut Vec<Activity>) {
        let site = &self.declared.site;
        // What the proxy refused went nowhere.
        let refused = request.status.is_some_and(|status| status >= 400);
        if refused || site.reach(seen.orig.ip, seen.resp.ip) != Reach::Internal {
            return;
        }
        let tunnel = &*request.method == "CONNECT";
        let Some(target) = request.host.as_deref().or_else(|| tunnel.then_some(&*request.uri)).and_then(Target::of)
        else {
            return;
        };
        if target.ip.is_some_and(|ip| site.is_inside(ip) || !is_unicast(ip)) {
            return;
        }
        let known = self.flows.get(seen.uid).is_some();
        let same = target.name.is_some_and(|name| {
            self.flows.name_of(seen.uid).is_some_and(|(before, _)| before.eq_ignore_ascii_case(name))
        });
        let (client, proxy) = self.speakers(seen);
        // Anybody can be asked; a proxy is who does it.
        if request.status.is_some_and(|status| (200..400).contains(&status)) {
            self.shared.fetched_for(proxy, client, seen.ts);
        }
        if known && same {
            return;
        }
        self.judge(seen.uid, out);
        let nowhere = Endpoint::NONE.ip;
        let resp = Endpoint::new(target.ip.unwrap_or(nowhere), target.port.unwrap_or(if tunnel { 443 } else { 80 }));
        let mut flow = OpenFlow::new(request.started, client, (resp, seen.transport));
        flow.via = Some(if tunnel { Via::Tunnel(proxy) } else { Via::Request(proxy) });
        self.counts.outbound_flows = self.counts.outbound_flows.saturating_add(1);
        if !known {
            self.make_room(out);
        }
        self.flows.reopen(seen.uid, flow);
        if let Some(name) = target.name {
            self.named(seen.uid, name, "http");
        }
    }

    /// Whom a flow goes out through, when that is all there is to it: one that several go out through, and that calls
    /// nobody to manage them. A server that does is not excused by fetching for them too, nor anybody by being asked to.
    /// Limit: one that machines pull from, and that nobody declared, is; many a server becomes a proxy besides.
    pub(super) fn way_out(&self, via: Via) -> Option<HostId> {
        let proxy = via.proxy();
        let is_only_proxy = self.roles(proxy).iter().all(|role| *role == HostRole::Proxy);
        let manages = self.learned_hub(proxy).is_some_and(|hub| hub.way.calls);
        (self.shared_by(proxy) == Some(SharedBy::Proxy) && is_only_proxy && !manages).then_some(proxy)
    }
}

/// Whom a proxy is asked for.
struct Target<'a> {
    name: Option<&'a str>,
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl<'a> Target<'a> {
    /// `host`, `host:port`, `[v6]:port`.
    fn of(authority: &'a str) -> Option<Self> {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port.parse().ok()),
            _ => (authority, None),
        };
        let ip: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let name = Some(host).filter(|host| ip.is_none() && !host.is_empty());
        (ip.is_some() || name.is_some()).then_some(Self { name, ip, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_asked_for_a_name_or_an_address_with_or_without_a_port() {
        for (authority, name, ip, port) in [
            ("x.example:443", Some("x.example"), None, Some(443)),
            ("x.example", Some("x.example"), None, None),
            ("203.0.113.9:8443", None, Some("203.0.113.9"), Some(8443)),
            ("[2001:db8::1]:443", None, Some("2001:db8::1"), Some(443)),
            ("x.example:99999", Some("x.example"), None, None),
        ] {
            let target = Target::of(authority).unwrap();
            let ip = ip.map(|ip: &str| ip.parse().unwrap());
            assert_eq!((target.name, target.ip, target.port), (name, ip, port), "{authority}");
        }
        assert!(Target::of("").is_none() && Target::of(":443").is_none());
    }
}
