//! What happens in an office when nothing is wrong: people browse, agents report, machines log on and keep time.

use super::directory;
use super::hello::Client;
use super::http;
use super::net::{HOUR, Host, MINUTE, MS, Nanos, SECOND};
use super::office::{Office, WORKSTATIONS};
use super::quic;
use super::smb::{Logon, Smb};
use super::tcp::{Side, Tcp};
use super::tls::{Answer, Tls};
use rustls::quic::Version;

/// Port on which the antivirus agents listen to their server.
pub(crate) const AGENT: u16 = 21_112;
/// Port on which the antivirus server listens to its agents.
pub(crate) const MANAGEMENT: u16 = 4_343;

/// Everything ordinary in the first `hours` of a day; `visits` sessions of browsing for each workstation.
pub(crate) fn day(office: &mut Office, hours: u64, visits: u64) {
    for pc in 0..WORKSTATIONS {
        let boot = office.place.start + office.wire.random.below(26 * MINUTE);
        let ready = morning(office, pc, boot);
        updates(office, pc, ready + 3 * MINUTE);
        heartbeats(office, pc, hours);
        queries(office, pc, hours);
        if pc % 3 == 0 {
            sync(office, pc, ready + MINUTE, office.at(hours * HOUR));
        }
        if pc % 2 == 0 {
            let at = office.wire.random.below(hours * HOUR - HOUR / 2);
            files(office, pc, office.at(HOUR / 2 + at));
        }
        for _ in 0..visits {
            let at = office.wire.random.below(hours * HOUR - 30 * MINUTE);
            browse(office, pc, ready + at);
        }
    }
    for hour in 0..hours {
        let at = office.at(hour * HOUR + 4 * MINUTE);
        patterns(office, at);
        clock(office, at + 11 * MINUTE);
    }
}

/// A machine is switched on and somebody logs on; returns when the desktop is there.
pub(crate) fn morning(office: &mut Office, pc: u8, at: Nanos) -> Nanos {
    let (host, dc) = (office.pc(pc), office.dc());
    let now = directory::lease(&mut office.wire, at, &host, &dc, &Office::pc_name(pc)) + SECOND;
    let now = directory::ntp(&mut office.wire, now, &host, &dc) + SECOND;
    let now = directory::ldap_search(&mut office.wire, now, &host, &dc) + 9 * SECOND;
    let service = ["cifs", "files.corp.example"];
    directory::logon(&mut office.wire, now, &host, &dc, &Office::user(pc), &service) + 5 * SECOND
}

/// A person looks at one to four pages, each with what it embeds.
pub(crate) fn browse(office: &mut Office, pc: u8, at: Nanos) {
    let mut now = at;
    for _ in 0..office.wire.random.between(1, 3) {
        // Popular sites more often: the lesser of two draws.
        let random = &mut office.wire.random;
        let rank = random.below(160).min(random.below(160));
        visit(office, pc, now, &Office::site(rank));
        if office.wire.random.chance(25) {
            let embedded =
                *office.wire.random.pick(&["cdn.static.example", "count.metrics.example", "fonts.type.example"]);
            visit(office, pc, now + 200 * MS, embedded);
        }
        now += office.wire.random.octaves(4 * SECOND, 5);
    }
}

/// One site is looked at: a few requests on one connection.
pub(crate) fn visit(office: &mut Office, pc: u8, at: Nanos, name: &str) -> Nanos {
    let (now, server) = office.resolve(at, pc, name);
    let client = browser(pc);
    let host = office.pc(pc);
    if client == Client::Chromium && office.wire.random.chance(4) {
        return quic::connection(&mut office.wire, now, &host, &server, name, (Version::V1, client));
    }
    let mut tcp = Tcp::new(&mut office.wire, now, &host, (&server, 443));
    tcp.open();
    let session = Tls::open(&mut tcp, client, Some(name), Answer::Modern);
    session.close_after(|tls, random| {
        for _ in 0..random.between(1, 2) {
            let (up, down) = (random.between(180, 420), random.octaves(120, 3));
            let pause = random.octaves(60 * MS, 5);
            tls.exchange(up as usize, down as usize).wait(pause);
        }
    })
}

/// Which browser a person prefers.
fn browser(pc: u8) -> Client {
    if pc % 4 == 3 { Client::Firefox } else { Client::Chromium }
}

/// The system asks its vendor for updates.
pub(crate) fn updates(office: &mut Office, pc: u8, at: Nanos) {
    let name = "update.system.example";
    let (now, server) = office.resolve(at, pc, name);
    let host = office.pc(pc);
    let mut tcp = Tcp::new(&mut office.wire, now, &host, (&server, 443));
    tcp.open();
    let mut session = Tls::open(&mut tcp, Client::Schannel, Some(name), Answer::Full12);
    session.exchange(620, 480);
    session.close(Side::Orig);
}

/// A client keeps a folder in step over one long connection, asking every ten minutes or so.
pub(crate) fn sync(office: &mut Office, pc: u8, at: Nanos, until: Nanos) {
    let name = "sync.drive.example";
    let (now, server) = office.resolve(at, pc, name);
    let host = office.pc(pc);
    let mut tcp = Tcp::new(&mut office.wire, now, &host, (&server, 443));
    tcp.open();
    let session = Tls::open(&mut tcp, Client::Go, Some(name), Answer::Modern);
    session.close_after(|tls, random| {
        while tls.now() < until {
            let up = if random.chance(15) { random.octaves(700, 2) } else { 210 };
            let pause = random.between(9 * MINUTE, 11 * MINUTE);
            tls.exchange(up as usize, 150).wait(pause);
        }
    });
}

/// The antivirus agent reports every hour, at a minute of its own.
fn heartbeats(office: &mut Office, pc: u8, hours: u64) {
    for hour in 0..hours {
        let late = office.wire.random.below(20 * SECOND);
        let at = office.at(hour * HOUR + minute_of(pc) + late);
        if at > office.at(27 * MINUTE) {
            heartbeat(office, pc, at, 420);
        }
    }
}

/// One report, answered with `down` bytes; returns when it was over.
pub(crate) fn heartbeat(office: &mut Office, pc: u8, at: Nanos, down: usize) -> Nanos {
    let (host, server) = (office.pc(pc), office.antivirus());
    let mut tcp = Tcp::new(&mut office.wire, at, &host, (&server, MANAGEMENT));
    tcp.open();
    let mut session = Tls::open(&mut tcp, Client::Schannel, Some("av01.corp.example"), Answer::Resumed12);
    session.exchange(380, down);
    session.close(Side::Orig)
}

/// When within an hour an agent reports.
pub(crate) fn minute_of(pc: u8) -> Nanos {
    u64::from(pc) * 7 % 40 * 90 * SECOND
}

/// The server asks each agent for its state every hour.
fn queries(office: &mut Office, pc: u8, hours: u64) {
    for hour in 0..hours {
        let late = office.wire.random.below(9 * SECOND);
        let at = office.at(hour * HOUR + (minute_of(pc) + 31 * MINUTE) % HOUR + late);
        if at > office.at(28 * MINUTE) {
            agent_call(office, pc, at, "/agent/status", &[], 160);
        }
    }
}

/// The antivirus server calls an agent: a request with a body, an answer of `down` bytes.
pub(crate) fn agent_call(office: &mut Office, pc: u8, at: Nanos, target: &str, body: &[u8], down: usize) -> Nanos {
    let (server, host) = (office.antivirus(), office.pc(pc));
    let mut tcp = Tcp::new(&mut office.wire, at, &server, (&host, AGENT));
    tcp.open();
    let name = format!("{}:{AGENT}", host.ip);
    let headers = [("User-Agent", "av-server/14.0"), ("Content-Type", "application/octet-stream")];
    tcp.orig(&http::request("POST", target, &name, &headers, body));
    let answer = tcp.wire.random.bytes(down);
    tcp.resp(&http::response("200 OK", &[("Content-Type", "application/octet-stream")], &answer));
    tcp.close(Side::Orig)
}

/// The antivirus server fetches patterns from its vendor.
fn patterns(office: &mut Office, at: Nanos) {
    let name = "pattern.antivirus.example";
    let server = office.antivirus();
    let dc = office.dc();
    let vendor = office.address(name);
    let answers = [super::dns::Answer::Address(vendor.ip)];
    let asked = (name, super::dns::A);
    let now = super::dns::look_up(&mut office.wire, at, &server, &dc, asked, (super::dns::FOUND, &answers));
    let mut tcp = Tcp::new(&mut office.wire, now + MS, &server, (&vendor, 443));
    tcp.open();
    let mut session = Tls::open(&mut tcp, Client::Schannel, Some(name), Answer::Full12);
    session.exchange(350, 2_600);
    session.close(Side::Orig);
}

/// The domain controller keeps time by two servers outside.
fn clock(office: &mut Office, at: Nanos) {
    let dc = office.dc();
    for (n, last) in [123, 124].into_iter().enumerate() {
        directory::ntp(&mut office.wire, at + n as u64 * SECOND, &dc, &Host::outside([192, 0, 2, last]));
    }
}

/// Somebody reads a document from the file server.
pub(crate) fn files(office: &mut Office, pc: u8, at: Nanos) -> Nanos {
    let (host, server) = (office.pc(pc), office.files());
    let mut tcp = Tcp::new(&mut office.wire, at, &host, (&server, 445));
    tcp.open();
    let mut smb = Smb::open(&mut tcp, Logon::Kerberos("files.corp.example"), "FILES");
    smb.connect("files.corp.example", "IPC$").connect("files.corp.example", "sales");
    let length = smb.tcp.wire.random.octaves(300, 3);
    let file = smb.open_file(&format!(r"2026\report-{pc:02}.docx"), 0x0012_0089, length);
    smb.read(&file, 0, &http::page(length as usize));
    smb.close_file(&file);
    smb.tcp.wait(4 * SECOND);
    smb.close()
}

/// A server tells every workstation to install something; each fetches it from one tenant of a content network.
pub(crate) fn rollout(office: &mut Office, at: Nanos, gap: Nanos) {
    let server = office.rollout();
    for pc in 0..WORKSTATIONS {
        let host = office.pc(pc);
        let told = at + u64::from(pc) * gap;
        let mut tcp = Tcp::new(&mut office.wire, told, &server, (&host, 8_027));
        let name = format!("{}:8027", host.ip);
        let headers = [("User-Agent", "rollout/5.2"), ("Content-Type", "application/json")];
        let order = br#"{"install":"viewer","version":"7.4.1"}"#;
        tcp.open().orig(&http::request("POST", "/notify", &name, &headers, order));
        tcp.resp(&http::response("202 Accepted", &[], &[]));
        let now = tcp.close(Side::Orig) + office.wire.random.octaves(2 * SECOND, 5);
        let name = "yukue-test-viewer.azureedge.net";
        let (now, tenant) = office.resolve(now, pc, name);
        let mut tcp = Tcp::new(&mut office.wire, now, &host, (&tenant, 443));
        tcp.open();
        let mut session = Tls::open(&mut tcp, Client::Schannel, Some(name), Answer::Full12);
        session.exchange(240, 1_900);
        session.close(Side::Orig);
    }
}
