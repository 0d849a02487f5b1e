//! `summary.json`: what was read, what came of it, and what could not be seen. Absence of an alert means nothing
//! without the last part.

use super::json::{self, Object};
use crate::alert::{Alert, Network, Sight, Stated};
use crate::base::Timestamp;
use crate::detect::Severity;
use std::net::IpAddr;
use std::time::Duration;

/// One run, in numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    /// Of the program.
    pub(crate) version: &'static str,
    /// Digest of the rules in force.
    pub(crate) rules: String,
    pub(crate) input: Vec<Input>,
    pub(crate) packets: u64,
    /// As on the wire.
    pub(crate) bytes: u64,
    pub(crate) flows: u64,
    /// Addresses of the site that took part in a flow.
    pub(crate) hosts: u64,
    pub(crate) identity: Identities,
    pub(crate) visibility: Visibility,
    pub(crate) baseline: Baseline,
    pub(crate) inside: Inside,
    /// Wall time of the run.
    pub(crate) elapsed_s: f64,
    /// The run was stopped before the input ended.
    pub(crate) interrupted: bool,
}

/// What happened to the identities of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identities {
    /// A known machine came to another address.
    pub(crate) moves: u64,
    /// Evidence took an address away from the machine that held it.
    pub(crate) conflicts: u64,
    /// Evidence that stronger evidence spoke against.
    pub(crate) disbelieved: u64,
    /// Machines found to have addresses of both families.
    pub(crate) joined: u64,
    /// The latest of these: the addresses, and by what.
    pub(crate) joins: Vec<(IpAddr, IpAddr, &'static str)>,
    /// Addresses that evidence moved to and fro: several machines are behind them.
    pub(crate) unsteady: Vec<IpAddr>,
    /// Where an asset list says one thing of an address and the wire another, in this order.
    pub(crate) disagreements: Vec<(IpAddr, String, String)>,
    /// Addresses with several machines behind them, and what they are: `nat`, `proxy`.
    pub(crate) shared: Vec<(IpAddr, &'static str)>,
}

/// One file, folder entry, stream or interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    /// As given, `-` for standard input.
    pub(crate) path: String,
    /// Lower-case hex over the bytes as stored.
    pub(crate) sha256: String,
    /// Bytes as stored.
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    /// Numbers of <https://www.tcpdump.org/linktypes.html>, in order of appearance.
    pub(crate) links: Vec<u16>,
    /// Where and how it is cut or damaged, in words.
    pub(crate) damage: Option<String>,
    /// Packets cut by the snap length.
    pub(crate) truncated: u64,
    /// Packets that the capturing system says it lost.
    pub(crate) dropped: u64,
    /// Second copies that were removed.
    pub(crate) duplicates: u64,
    /// Packets stamped more than a second before one that came earlier, and the furthest.
    pub(crate) back_steps: u64,
    pub(crate) largest_back: Duration,
    /// Longest time without a packet.
    pub(crate) longest_silence: Duration,
    /// What its flows show.
    pub(crate) sight: Sight,
}

/// How much of the traffic the sensor could see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visibility {
    /// Packets cut by the snap length.
    pub(crate) truncated_packets: u64,
    /// Second copies that were removed.
    pub(crate) duplicate_packets: u64,
    /// Packets further out of order than the merge waits for.
    pub(crate) late_packets: u64,
    /// Packets the kernel or the network card dropped, where the source says.
    pub(crate) dropped_packets: Option<u64>,
    /// TCP payload that was acknowledged or skipped but never seen.
    pub(crate) missed_bytes: u64,
    /// Payload that was seen.
    pub(crate) payload_bytes: u64,
    /// Flows of which only one side was seen although the other spoke.
    pub(crate) one_way_flows: u64,
    /// Packets that the filter kept back; none of them is in any other number.
    pub(crate) filtered_packets: u64,
    /// Most flows held at once.
    pub(crate) peak_flows: u64,
    /// Flows that made room for others before they ended.
    pub(crate) evicted_flows: u64,
    /// Flows whose payload was not read because too many were open at once.
    pub(crate) unread_flows: u64,
    /// Entries of other tables that made room for others.
    pub(crate) evicted_entries: u64,
    /// What made room for others, by table, where anything did; flows and their readers too.
    pub(crate) evicted: Vec<(&'static str, u64)>,
    /// Flows from inside to the outside.
    pub(crate) outbound_flows: u64,
    /// Of these, those whose responder had no name.
    pub(crate) nameless_flows: u64,
    /// Flows between two inside hosts; with none, lateral movement cannot be seen.
    pub(crate) internal_flows: u64,
    /// What the flows show, all of them and by network.
    pub(crate) sight: Sight,
    pub(crate) networks: Vec<Network>,
    /// What was decoded and how, by name, in the order given.
    pub(crate) decoded: Vec<(&'static str, u64)>,
    /// Packets that were not understood, by reason; in the order given.
    pub(crate) undecoded: Vec<(String, u64)>,
    /// Oddities by name, in the order given.
    pub(crate) weird: Vec<(&'static str, u64)>,
}

impl Visibility {
    /// Share of TCP payload that was lost on the way to the sensor, 0 to 1.
    pub(crate) fn loss_ratio(&self) -> f64 {
        ratio(self.missed_bytes, self.missed_bytes.saturating_add(self.payload_bytes))
    }
}

/// Whether it is known what is usual here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    None,
    Learning,
    Ready,
}

/// How far, and of how many hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Baseline {
    pub(crate) stage: Stage,
    /// Hosts that met somebody outside: known for less than a day, for less than seven active days, for more.
    pub(crate) new: u64,
    pub(crate) learning: u64,
    pub(crate) ready: u64,
}

impl Stage {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Learning => "learning",
            Self::Ready => "ready",
        }
    }
}

/// What was taken as inside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inside {
    /// Nobody declared it.
    pub(crate) assumed: bool,
    /// What speaks against the assumption, in words.
    pub(crate) hint: Option<String>,
}

impl Summary {
    /// Share of packets that were second copies, 0 to 1.
    pub(crate) fn duplicate_ratio(&self) -> f64 {
        ratio(self.visibility.duplicate_packets, self.packets)
    }

    /// Share of flows seen from one side only, 0 to 1.
    pub(crate) fn one_way_ratio(&self) -> f64 {
        ratio(self.visibility.one_way_flows, self.flows)
    }
}

/// How many there are of each severity, least first.
pub(super) fn by_severity(all: impl Iterator<Item = Severity>) -> [(Severity, u64); 5] {
    let mut counts = Severity::ALL.map(|severity| (severity, 0));
    for severity in all {
        counts.iter_mut().filter(|(s, _)| *s == severity).for_each(|(_, count)| *count += 1);
    }
    counts
}

/// The summary's object.
pub(super) fn write(out: &mut Vec<u8>, summary: &Summary, findings: &[Stated], alerts: &[Alert]) {
    json::object(out, |top| {
        top.objects("input", &summary.input, input);
        top.number("packets", summary.packets);
        top.number("bytes", summary.bytes);
        top.number("flows", summary.flows);
        top.number("hosts", summary.hosts);
        top.object("findings", |o| severities(o, findings.iter().map(|f| f.finding.severity)));
        top.object("alerts", |o| severities(o, alerts.iter().map(|a| a.finding.severity)));
        top.object("visibility", |o| visibility(o, summary));
        top.object("identity", |line| identity(line, &summary.identity));
        top.text("baseline", summary.baseline.stage.name());
        top.object("baseline_hosts", |o| {
            o.number("new", summary.baseline.new);
            o.number("learning", summary.baseline.learning);
            o.number("ready", summary.baseline.ready);
        });
        top.object("inside", |o| {
            o.flag("assumed", summary.inside.assumed);
            o.known("hint", summary.inside.hint.as_deref());
        });
        top.real("elapsed_s", summary.elapsed_s);
        if summary.interrupted {
            top.flag("interrupted", true);
        }
        top.text("version", summary.version);
        top.text("rules", &summary.rules);
    });
}

fn input(o: &mut Object<'_>, input: &Input) {
    o.text("path", &input.path);
    o.text("sha256", &input.sha256);
    o.number("bytes", input.bytes);
    o.number("packets", input.packets);
    if let Some(first) = input.first {
        o.moment("first", first);
    }
    if let Some(last) = input.last {
        o.moment("last", last);
    }
    o.texts("link_types", input.links.iter().map(|link| link_name(*link)));
    o.known("damage", input.damage.as_deref());
    for (key, count) in [
        ("truncated_packets", input.truncated),
        ("dropped_packets", input.dropped),
        ("duplicate_packets", input.duplicates),
        ("clock_back_steps", input.back_steps),
    ] {
        o.known_number(key, Some(count).filter(|count| *count > 0));
    }
    if input.largest_back > Duration::ZERO {
        o.span("largest_clock_step", input.largest_back);
    }
    if input.longest_silence > Duration::ZERO {
        o.span("longest_silence", input.longest_silence);
    }
    sight(o, &input.sight);
}

/// What flows show of what could be seen; nothing where there were none.
fn sight(o: &mut Object<'_>, seen: &Sight) {
    if seen.flows == 0 {
        return;
    }
    o.number("flows", seen.flows);
    o.real("loss_ratio", seen.loss());
    o.real("one_way_ratio", seen.one_sided());
    o.number("internal_flows", seen.internal_flows);
    o.number("inferred_bytes", seen.inferred_bytes);
}

/// What hides names, and what shows them.
fn naming(o: &mut Object<'_>, seen: &Sight) {
    o.real("names_hidden_ratio", seen.nameless());
    o.number("hellos", seen.hellos);
    o.number("hellos_without_name", seen.hidden_names);
    o.number("hellos_with_ech", seen.ech_hellos);
    o.number("encrypted_dns_flows", seen.encrypted_dns_flows);
    o.number("lookups", seen.lookups);
    if let Some(share) = seen.dns_visible() {
        o.real("lookups_seen_ratio", share);
    }
}

fn severities(o: &mut Object<'_>, all: impl Iterator<Item = Severity>) {
    for (severity, count) in by_severity(all) {
        o.number(severity.name(), count);
    }
}

fn visibility(o: &mut Object<'_>, summary: &Summary) {
    let seen = &summary.visibility;
    o.real("loss_ratio", seen.loss_ratio());
    o.number("missed_bytes", seen.missed_bytes);
    o.known_number("dropped_packets", seen.dropped_packets);
    o.number("one_way_flows", seen.one_way_flows);
    o.real("one_way_ratio", summary.one_way_ratio());
    o.number("duplicate_packets", seen.duplicate_packets);
    o.real("duplicate_ratio", summary.duplicate_ratio());
    o.number("outbound_flows", seen.outbound_flows);
    o.number("nameless_flows", seen.nameless_flows);
    naming(o, &seen.sight);
    o.number("internal_flows", seen.internal_flows);
    o.number("truncated_packets", seen.truncated_packets);
    o.number("late_packets", seen.late_packets);
    o.number("filtered_packets", seen.filtered_packets);
    o.number("peak_flows", seen.peak_flows);
    o.number("evicted_flows", seen.evicted_flows);
    o.number("unread_flows", seen.unread_flows);
    o.number("evicted_entries", seen.evicted_entries);
    counts(o, "evicted", seen.evicted.iter().copied());
    o.number("inferred_bytes", seen.sight.inferred_bytes);
    o.objects("networks", &seen.networks, |o, network| {
        o.text("network", &network.prefix.to_string());
        sight(o, &network.sight);
        naming(o, &network.sight);
        o.number("networks_in_contact", network.paths);
    });
    counts(o, "decoded", seen.decoded.iter().copied());
    counts(o, "undecoded", seen.undecoded.iter().map(|(reason, count)| (reason.as_str(), *count)));
    counts(o, "weird", seen.weird.iter().copied());
}

/// A list of `{"name", "count"}`: names that come from traffic are no keys.
fn counts<'c>(o: &mut Object<'_>, key: &'static str, all: impl Iterator<Item = (&'c str, u64)>) {
    o.objects(key, all, |o, (name, count)| {
        o.text("name", name);
        o.number("count", count);
    });
}

/// The name of a link type, by tcpdump.org's list; the number when it is not one of those the sensor reads.
pub(super) fn link_name(link: u16) -> String {
    let name = match link {
        0 => "null",
        1 => "ethernet",
        9 => "ppp",
        12 | 14 | 101 => "raw",
        51 => "pppoe",
        105 => "ieee802_11",
        108 => "loop",
        113 => "linux_sll",
        127 => "ieee802_11_radiotap",
        228 => "ipv4",
        229 => "ipv6",
        276 => "linux_sll2",
        other => return format!("linktype_{other}"),
    };
    name.to_owned()
}

/// `part` of `whole`; nothing of nothing is 0.
#[expect(clippy::cast_precision_loss, reason = "a share for people; 53 bits are plenty")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
/// What happened to the identities of machines.
fn identity(line: &mut Object<'_>, known: &Identities) {
    line.number("moves", known.moves);
    line.number("conflicts", known.conflicts);
    line.number("disbelieved", known.disbelieved);
    line.number("joined", known.joined);
    line.objects("joins", &known.joins, |line, (v4, v6, by)| {
        line.ip("ipv4", *v4);
        line.ip("ipv6", *v6);
        line.text("evidence", by);
    });
    line.ips("unsteady", &known.unsteady);
    line.objects("disagreements", &known.disagreements, |line, (ip, declared, seen)| {
        line.ip("ip", *ip);
        line.text("declared", declared);
        line.text("seen", seen);
    });
    line.objects("shared", &known.shared, |line, (ip, by)| {
        line.ip("ip", *ip);
        line.text("by", by);
    });
}
