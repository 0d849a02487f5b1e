//! What must be found: staging through the antivirus server, remote execution with a call-back, beacons.
//!
//! Every cue is a parameter, so that tests can take one away and see the claim fall.

use super::acts::{self, Act};
use super::dns;
use super::habits::{self, agent_call, heartbeat, minute_of};
use super::hello::Client;
use super::http;
use super::net::{HOUR, Host, MINUTE, MS, Nanos, SECOND};
use super::office::{Office, Place};
use super::tcp::{Side, Tcp};
use super::tls::{Answer, Tls};
use std::net::IpAddr;

/// By which door a server makes a workstation run something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Service control manager by SMB.
    Svcctl,
    /// WMI.
    Wmi,
    /// WS-Management, on a port.
    Winrm(u16),
    /// DCOM automation.
    Dcom,
    /// Task scheduler by TCP.
    Tasks,
}

/// Where a workstation calls back to, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callback<'a> {
    /// Name of the destination; looked up first.
    pub(crate) name: &'a str,
    /// Time from one contact to the next.
    pub(crate) interval: Nanos,
    /// Shortens or lengthens it by up to so many percent.
    pub(crate) jitter: u64,
    /// How many contacts follow the first.
    pub(crate) beats: u64,
}

/// A campaign through the antivirus server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Campaign<'a> {
    /// Where and when.
    pub(crate) place: Place,
    /// Workstations that are hit, from [`victim`]'s list.
    pub(crate) victims: u8,
    /// The door after the push; `None` leaves the execution out.
    pub(crate) door: Option<Door>,
    /// How long each waits before it calls, on top of seconds to minutes.
    pub(crate) delay: Nanos,
    /// To whom.
    pub(crate) callback: Callback<'a>,
    /// Whether ordinary workstations use the destination too.
    pub(crate) common: bool,
    /// What is told about names between act and call, and is not so.
    pub(crate) lie: Option<Lie>,
}

/// Datagrams about names that anybody can send (RFC 6762).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Each victim tells another name than its own.
    Own,
    /// Each victim tells a name for the next one's address.
    Others,
    /// Each victim tells the server's name for its own address.
    Servers,
}

/// Tenant of a shared cloud.
pub(crate) const STAGE: &str = "yukue-test-stg7.blob.core.windows.net";

impl Campaign<'_> {
    /// As shipped.
    pub(crate) const fn usual() -> Self {
        let callback = Callback { name: STAGE, interval: 60 * SECOND, jitter: 20, beats: 18 };
        let (place, door) = (Place::usual(0x7002), Some(Door::Winrm(5985)));
        Self { place, victims: 12, door, delay: 0, callback, common: false, lie: None }
    }
}

/// When the push begins.
pub(crate) const PUSH: Nanos = 75 * MINUTE;

/// The `n`th workstation that is hit: every third, so that they are no block of addresses.
pub(crate) const fn victim(n: u8) -> u8 {
    n * 3 + 1
}

/// The antivirus server pushes over its agent port and a door; each workstation fetches a script, calls back, and
/// three send something home. The office goes on around it.
pub(crate) fn push(campaign: &Campaign<'_>) -> Office {
    let mut office = Office::new(campaign.place);
    habits::day(&mut office, 3, 2);
    let gap = 4 * SECOND;
    let rollout = office.at(125 * MINUTE);
    habits::rollout(&mut office, rollout, gap);
    if campaign.common {
        for pc in 0..super::office::WORKSTATIONS {
            let at = office.at(30 * MINUTE + u64::from(pc) * 61 * SECOND);
            habits::visit(&mut office, pc, at, campaign.callback.name);
        }
    }
    let server = office.antivirus();
    for n in 0..campaign.victims {
        let pc = victim(n);
        let host = office.pc(pc);
        let at = office.at(PUSH) + u64::from(n) * 24 * SECOND + office.wire.random.below(9 * SECOND);
        let package = office.wire.random.bytes(5_200);
        let mut now = agent_call(&mut office, pc, at, "/agent/update", &package, 24) + 1_900 * MS;
        if let Some(door) = campaign.door {
            let name = Office::pc_name(pc);
            let act = Act { from: (&server, "AV01"), on: (&host, &name), user: "svc-av" };
            now = act_by(&mut office, now, door, act, "WinHelper");
        }
        if let Some(lie) = campaign.lie {
            let (name, of) = match lie {
                Lie::Own => (format!("printer-{n}"), pc),
                Lie::Others => (format!("printer-{n}"), victim((n + 1) % campaign.victims)),
                Lie::Servers => ("AV01".to_owned(), pc),
            };
            tell_name(&mut office, now, pc, (&name, of));
        }
        now += campaign.delay + office.wire.random.octaves(3 * SECOND, 5);
        let first = fetch(&mut office, pc, now, campaign.callback.name, 8_800);
        call_back(&mut office, pc, first, &campaign.callback, if n % 4 == 2 { 7_000 } else { 0 });
    }
    office
}

/// A workstation tells everybody which name an address has.
pub(crate) fn tell_name(office: &mut Office, at: Nanos, pc: u8, (name, of): (&str, u8)) {
    let (host, named) = (office.pc(pc), office.pc(of));
    let group = Host { ip: IpAddr::from([224, 0, 0, 251]), ttl: 255 };
    let answer = dns::announcement(&format!("{name}.local"), named.ip);
    office.wire.udp(at, (&host, 5353), (&group, 5353), &answer);
}

/// Acts by a door.
pub(crate) fn act_by(office: &mut Office, at: Nanos, door: Door, act: Act<'_>, tool: &str) -> Nanos {
    let wire = &mut office.wire;
    match door {
        Door::Svcctl => acts::service(wire, at, act, tool, &format!(r"%SystemRoot%\{tool}.exe -k")),
        Door::Wmi => acts::wmi(wire, at, act),
        Door::Winrm(port) => acts::winrm_on(wire, at, act, port),
        Door::Dcom => acts::dcom(wire, at, act),
        Door::Tasks => acts::task(wire, at, act),
    }
}

/// A script of `length` bytes is fetched by the system's TLS library.
pub(crate) fn fetch(office: &mut Office, pc: u8, at: Nanos, name: &str, length: usize) -> Nanos {
    let (now, server) = office.resolve(at, pc, name);
    let host = office.pc(pc);
    let mut tcp = Tcp::new(&mut office.wire, now, &host, (&server, 443));
    tcp.open();
    let mut session = Tls::open(&mut tcp, Client::Schannel, Some(name), Answer::Full12);
    session.exchange(190, length);
    session.close(Side::Orig)
}

/// Contacts by a timer; in the middle of them `upload` bytes go out.
pub(crate) fn call_back(office: &mut Office, pc: u8, after: Nanos, callback: &Callback<'_>, upload: usize) -> Nanos {
    let host = office.pc(pc);
    let mut now = after;
    for beat in 0..callback.beats {
        let percent = office.wire.random.between(100 - callback.jitter, 100 + callback.jitter);
        now += callback.interval * percent / 100;
        let (at, server) = office.resolve(now, pc, callback.name);
        let mut tcp = Tcp::new(&mut office.wire, at, &host, (&server, 443));
        tcp.open();
        let mut session = Tls::open(&mut tcp, Client::Schannel, Some(callback.name), Answer::Resumed12);
        let up = if beat == callback.beats / 2 { upload } else { 0 };
        session.exchange(230 + up, 96);
        session.close(Side::Orig);
    }
    now
}

/// The workstations pull a poisoned update at their hourly report: no execution mark, only a longer answer than usual,
/// then a script over plain HTTP and a call-back by TLS.
pub(crate) fn pull(place: Place) -> Office {
    let mut office = Office::new(place);
    habits::day(&mut office, 3, 2);
    let rollout = office.at(150 * MINUTE);
    habits::rollout(&mut office, rollout, 4 * SECOND);
    poison(&mut office, 20 * MINUTE..38 * MINUTE, 14);
    office
}

/// The same on the morning after days of the like: 23 of 40 workstations pull the update within half an hour, and
/// everybody of them loads its script and calls back.
pub(crate) fn poisoned(place: Place) -> Office {
    let mut office = Office::new(place);
    habits::day(&mut office, 2, 1);
    poison(&mut office, 16 * MINUTE..50 * MINUTE, 8);
    office
}

/// The days before [`poisoned`]: working mornings of the same office, `n` in all, one capture each.
pub(crate) fn mornings_before(place: Place, n: u64) -> Vec<Office> {
    const DAY: Nanos = 24 * HOUR;
    let morning = |back: u64| {
        let mut office = Office::new(Place { start: place.start - back * DAY, seed: place.seed + back, ..place });
        habits::day(&mut office, 2, 1);
        office
    };
    (1..=n).rev().map(morning).collect()
}

/// Workstations whose turn to report comes while the update is poisoned load a script and call back.
fn poison(office: &mut Office, turns: std::ops::Range<Nanos>, beats: u64) {
    const NAME: &str = "yukue-test-upd3.s3.ap-northeast-1.amazonaws.com";
    let poisoned = |pc: &u8| turns.contains(&minute_of(*pc));
    for pc in (0..super::office::WORKSTATIONS).filter(poisoned) {
        let at = office.at(HOUR + minute_of(pc) + 25 * SECOND);
        let now = heartbeat(office, pc, at, 6_400) + office.wire.random.octaves(5 * SECOND, 5);
        let (now, server) = office.resolve(now, pc, NAME);
        let host = office.pc(pc);
        let mut tcp = Tcp::new(&mut office.wire, now, &host, (&server, 80));
        let headers = [("User-Agent", http::POWERSHELL), ("Connection", "Keep-Alive")];
        tcp.open().orig(&http::request("GET", "/u/7.txt", NAME, &headers, &[]));
        tcp.resp(&http::ok("text/plain", &http::script(6_000)));
        let now = tcp.close(Side::Orig);
        let callback = Callback { name: NAME, interval: 90 * SECOND, jitter: 30, beats };
        call_back(office, pc, now, &callback, if pc % 5 == 0 { 5_000 } else { 0 });
    }
}

/// One server acts on one workstation by a door; the workstation calls a rare destination within seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'a> {
    /// Where and when.
    pub(crate) place: Place,
    /// By which door; `None`: nobody acted.
    pub(crate) door: Option<Door>,
    /// What the tool calls itself, where a door shows it.
    pub(crate) tool: &'a str,
    /// From act to contact.
    pub(crate) lag: Nanos,
    /// To whom.
    pub(crate) callback: Callback<'a>,
    /// How many of the other workstations used the destination before.
    pub(crate) others: u8,
}

impl Chain<'_> {
    /// As shipped, by `door`.
    pub(crate) const fn by(door: Door, seed: u64) -> Self {
        let callback = Callback { name: "cdn.quiet-harbour.example", interval: 30 * SECOND, jitter: 10, beats: 10 };
        Self { place: Place::usual(seed), door: Some(door), tool: "WinHelper", lag: 4 * SECOND, callback, others: 0 }
    }
}

/// Plays a [`Chain`]: some ordinary traffic of four workstations, the act, the contact, a few beats.
pub(crate) fn chain(chain: &Chain<'_>) -> Office {
    let mut office = Office::new(chain.place);
    for pc in 0..4 {
        let at = office.at(u64::from(pc) * 7 * SECOND);
        let ready = habits::morning(&mut office, pc, at);
        for n in 0..2 {
            habits::browse(&mut office, pc, ready + n * 4 * MINUTE + u64::from(pc) * 31 * SECOND);
        }
    }
    for pc in 0..chain.others {
        let at = office.at(2 * MINUTE + u64::from(pc) * 13 * SECOND);
        habits::visit(&mut office, pc, at, chain.callback.name);
    }
    let pc = 7;
    let at = office.at(15 * MINUTE);
    let ready = habits::morning(&mut office, pc, chain.place.start);
    habits::browse(&mut office, pc, ready + MINUTE);
    let mut now = at;
    if let Some(door) = chain.door {
        let (server, host): (Host, Host) = (office.jump(), office.pc(pc));
        let name = Office::pc_name(pc);
        let act = Act { from: (&server, "JUMP01"), on: (&host, &name), user: "svc-ops" };
        now = act_by(&mut office, now, door, act, chain.tool);
    }
    now += chain.lag;
    let first = fetch(&mut office, pc, now, chain.callback.name, 4_000);
    call_back(&mut office, pc, first, &chain.callback, 0);
    office
}

/// A beacon over TLS every minute, give or take a fifth, beside ordinary browsing.
pub(crate) fn beacon_https() -> Office {
    let mut office = Office::new(Place::usual(0xbe01));
    let start = office.place.start;
    let ready = habits::morning(&mut office, 3, start);
    for n in 0..6 {
        habits::browse(&mut office, 3, ready + n * 8 * MINUTE);
    }
    let callback = Callback { name: "api.lantern-works.example", interval: 60 * SECOND, jitter: 20, beats: 45 };
    call_back(&mut office, 3, ready, &callback, 0);
    office
}

/// A beacon of requests on one connection that is kept open: every five seconds, in the clear.
pub(crate) fn beacon_http() -> Office {
    let mut office = Office::new(Place::usual(0xbe02));
    let start = office.place.start;
    let ready = habits::morning(&mut office, 3, start);
    for n in 0..3 {
        habits::browse(&mut office, 3, ready + n * 2 * MINUTE);
    }
    let name = "status.lantern-works.example";
    let (now, server) = office.resolve(ready, 3, name);
    let host = office.pc(3);
    let mut tcp = Tcp::new(&mut office.wire, now, &host, (&server, 8080));
    tcp.open();
    for _ in 0..72 {
        let id = format!("/p?s={:08x}", tcp.wire.random.next() as u32);
        tcp.orig(&http::get(&id, name, http::BROWSER)).resp(&http::ok("text/plain", b"ok"));
        let pause = tcp.wire.random.between(4_900, 5_100);
        tcp.wait(pause * MS);
    }
    tcp.close(Side::Orig);
    office
}
