//! SNI mismatch: the name a client asks for, the name its address was looked up by, and the certificate it is shown do not
//! belong together (ATT&CK T1573, T1090.004; EG-017).
//!
//! Measure: whether any name that led to the address has the same owner; whose range the address is in; the certificate's
//! names, signer and age, where it is visible (TLS 1.2 and below). Benign look-alikes: inside proxies, shared content
//! networks, test servers. Evasion: TLS 1.3, a certificate of a public authority.

use super::beacon::reason;
use super::claim::{Claim, Words};
use super::cue::{Cue, Group};
use super::finding::{Entity, Evidence, Finding, Role, Severity, Value};
use super::ledger::Ledger;
use super::memory::Memory;
use super::renamed::as_it_is;
use super::{Detector, RuleError, Said, Spec, Which, parse};
use crate::base::{Arg, Budget, Table, Timestamp, Word, say};
use crate::event::{Certificate, Uid};
use crate::intel::{is_background, is_same};
use crate::profile::{Activity, Hello, HostId, Profiles, TenantId};
use std::net::IpAddr;

/// In the table of detectors.
pub(super) const SPEC: Spec = Spec {
    stem: "sni_mismatch",
    rule: include_str!("../../rules/sni_mismatch.toml"),
    build: |text| {
        Ok(Box::new(SniMismatch {
            rule: parse(text)?,
            noted: Ledger::new(Budget::new("sni_mismatch.noted", MAX_NOTED, 128)),
        }))
    },
};

/// `rules/sni_mismatch.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    enabled: bool,
    attack: Vec<Box<str>>,
    young_s: f64,
    other_provider_nats: f64,
    other_name_nats: f64,
    not_covered_nats: f64,
    self_signed_nats: f64,
    young_nats: f64,
    address_nats: f64,
    low_nats: f64,
    medium_nats: f64,
}

/// What did not fit, by host and destination owner.
#[derive(Debug)]
struct SniMismatch {
    rule: Rule,
    noted: Ledger<(HostId, TenantId), Odd>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Odd {
    first: Timestamp,
    sni: Option<Box<str>>,
    ip: IpAddr,
    #[serde(with = "crate::base::word::weighed")]
    signs: Vec<(Word, f64)>,
    uid: Uid,
}

impl Odd {
    fn nats(&self) -> f64 {
        self.signs.iter().map(|(_, nats)| nats).sum()
    }
}

as_it_is!(Odd);

impl Detector for SniMismatch {
    fn follow(&mut self, rule: &str) -> Result<(), RuleError> {
        self.rule = parse(rule)?;
        Ok(())
    }

    fn observe(&mut self, seen: &Activity, usual: &Profiles, said: &mut Said) {
        if let Activity::Hello(hello) = seen
            && self.rule.enabled
        {
            self.hello(hello, usual, said);
        }
    }

    fn say(&mut self, which: Which, now: Timestamp, usual: &Profiles, said: &mut Said) {
        let rule = &self.rule;
        self.noted.say(which, said, |key, note| rule.tell(now, *key, note, usual));
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.noted.table()]
    }

    fn memory(&mut self) -> Vec<&mut dyn Memory> {
        vec![&mut self.noted]
    }
}

impl SniMismatch {
    fn hello(&mut self, seen: &Hello, usual: &Profiles, said: &mut Said) {
        if usual.tie(seen.host, seen.tenant).is_none_or(|tie| tie.background) {
            return;
        }
        let signs = self.rule.signs(seen, usual);
        let nats: f64 = signs.iter().map(|(_, nats)| nats).sum();
        let known = self.noted.get(&(seen.host, seen.tenant)).map_or(0.0, Odd::nats);
        let Some((measure, _)) = signs.first().copied().filter(|_| nats > known) else { return };
        let (sni, ip) = (seen.told.sni.clone(), seen.resp.ip);
        let odd = Odd { first: seen.ts, sni, ip, signs, uid: seen.uid };
        match self.noted.amend(&(seen.host, seen.tenant)) {
            Some(noted) => *noted = odd,
            None => self.noted.note_once((seen.host, seen.tenant), || odd),
        }
        said.cues.push(Cue {
            detector: SPEC.stem,
            ts: seen.ts,
            host: seen.host,
            tenant: Some(seen.tenant),
            group: Group::Destination,
            nats,
            reason: reason("tls_oddity", Value::Text(measure.into()), ""),
            uid: seen.uid,
        });
    }
}

impl Rule {
    /// What does not fit, the weightiest first.
    fn signs(&self, seen: &Hello, usual: &Profiles) -> Vec<(&'static str, f64)> {
        let mut signs = Vec::new();
        let sni = seen.told.sni.as_deref();
        match sni {
            Some(sni) if sni.parse::<IpAddr>().is_ok() => signs.push(("the name is an address", self.address_nats)),
            Some(sni) => signs.extend(self.elsewhere(seen.host, sni, seen.resp.ip, usual)),
            None => {}
        }
        if let Some(certificate) = &seen.told.certificate {
            signs.extend(self.certificate(sni, certificate, seen.ts));
        }
        signs.sort_by(|a, b| b.1.total_cmp(&a.1));
        signs
    }

    /// Looked up by other names only: a hosts file, or somebody fronting.
    fn elsewhere(&self, host: HostId, sni: &str, ip: IpAddr, usual: &Profiles) -> Option<(&'static str, f64)> {
        let intel = usual.intel();
        let owner = intel.owner(sni)?;
        let mut names = usual.names_of(ip).peekable();
        let (named, ranged) = (intel.place(Some(sni), ip), intel.place(None, ip).provider);
        let its_own = named.provider.zip(ranged).is_some_and(|(a, b)| is_same(a, b));
        if names.peek().is_none() {
            // The first contact of a run has no look-up before it; of what nobody looks twice at that is not all.
            let trusted = is_background(named.class) && !usual.may_be_at(host, sni, ip);
            return trusted
                .then_some(("a name that nobody looks twice at, and no look-up of it", self.other_provider_nats));
        }
        if usual.sees_lookups(host) == Some(false) {
            return None;
        }
        if names.any(|name| intel.owner(name).is_some_and(|other| other == owner)) {
            return None;
        }
        match (named.provider, ranged) {
            (Some(_), Some(_)) if !its_own => {
                Some(("the name is one provider's, the address another's", self.other_provider_nats))
            }
            _ => Some(("the address was looked up by other names only", self.other_name_nats)),
        }
    }

    fn certificate(&self, sni: Option<&str>, shown: &Certificate, ts: Timestamp) -> Vec<(&'static str, f64)> {
        let mut signs = Vec::new();
        let covers = |name: &str| shown.san.iter().any(|san| matches(san, name)) || is_subject(&shown.subject, name);
        let named = sni.filter(|name| name.parse::<IpAddr>().is_err());
        if named.is_some_and(|name| !covers(name)) {
            signs.push(("the certificate is for other names", self.not_covered_nats));
        }
        if shown.self_signed {
            signs.push(("the certificate vouches for itself", self.self_signed_nats));
        }
        if (0.0..self.young_s).contains(&ts.secs_since(shown.not_before)) {
            signs.push(("the certificate is days old", self.young_nats));
        }
        signs
    }

    fn tell(&self, now: Timestamp, (host, tenant): (HostId, TenantId), odd: &Odd, usual: &Profiles) -> Option<Finding> {
        let (tie, owner) = (usual.tie(host, tenant)?, usual.tenant(tenant)?);
        let destination = tie.destination(Some(&owner.key));
        let nats = odd.nats();
        let claim = Claim {
            detector: SPEC.stem,
            now,
            span: (odd.first, tie.last.max(odd.first)),
            severity: match () {
                () if nats >= self.medium_nats => Severity::Medium,
                () if nats >= self.low_nats => Severity::Low,
                () => Severity::Info,
            },
            attack: &self.attack,
            host,
            role: Role::AffectedHost,
            scope: &owner.key,
        };
        let ip = usual.address_text(host);
        let signs: Vec<Arg> = odd.signs.iter().map(|(words, _)| Arg::term(words)).collect();
        let asked = odd.sni.as_deref().unwrap_or("nobody by name");
        let weighed = |(sign, nats): &(&'static str, f64)| Evidence {
            measure: "tls_oddity",
            observed: Value::Text((*sign).into()),
            against: super::Against::Weight(*nats),
            unit: "",
        };
        Some(claim.say(
            usual,
            Words {
                title: say!("sni_mismatch.title", host = &ip, destination = &destination),
                explanation: say!(
                    "sni_mismatch.explanation",
                    host = &ip,
                    address = odd.ip,
                    name = Arg::term(asked),
                    at = odd.first.clock_beside(tie.last),
                    signs = Arg::List(signs),
                ),
                reasons: odd.signs.iter().map(weighed).collect(),
                others: vec![Entity::destination(tie)],
                uids: vec![odd.uid],
            },
        ))
    }
}

/// Whether a certificate's name, `*.example` or plain, stands for `name` (RFC 6125 §6.4.3).
fn matches(san: &str, name: &str) -> bool {
    match san.strip_prefix("*.") {
        Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
        None => san.eq_ignore_ascii_case(name),
    }
}

/// Whether the common name stands for `name`, as before there were alternative names.
fn is_subject(subject: &str, name: &str) -> bool {
    subject.split(',').filter_map(|part| part.trim().strip_prefix("CN=")).any(|common| matches(common, name))
}

/// (host, owner) pairs with something odd.
const MAX_NOTED: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        for (san, name, expected) in [
            ("*.a.example", "x.a.example", true),
            ("*.a.example", "x.y.a.example", false),
            ("*.a.example", "a.example", false),
            ("A.example", "a.example", true),
        ] {
            assert_eq!(matches(san, name), expected, "{san} {name}");
        }
        assert!(is_subject("CN=www.a.example,O=A", "www.a.example"));
    }
}
