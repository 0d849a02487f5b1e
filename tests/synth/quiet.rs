//! What must not alarm, though it looks a little like what must.

use super::acts::{self, Act};
use super::directory;
use super::habits;
use super::hello::Client;
use super::net::{HOUR, Host, MINUTE, Nanos, SECOND};
use super::office::{Office, Place};
use super::tcp::{Side, Tcp};
use super::tls::{Answer, Tls};

/// Three hours of an office in which nothing is wrong.
pub(crate) fn office_day(place: Place) -> Office {
    let mut office = Office::new(place);
    habits::day(&mut office, 3, 3);
    office
}

/// An administrator's command on a workstation, after which its user goes on browsing: twenty ordinary sites, three of
/// which nobody else visits.
pub(crate) fn admin_then_browsing(place: Place) -> Office {
    let mut office = Office::new(place);
    for pc in 0..5 {
        let at = office.at(u64::from(pc) * 9 * SECOND);
        let ready = habits::morning(&mut office, pc, at);
        for rank in 0..17 {
            let pause = office.wire.random.below(20 * MINUTE);
            if (rank + u64::from(pc)) % 3 != 0 {
                habits::visit(&mut office, pc, ready + pause, &Office::site(rank));
            }
        }
    }
    let pc = 9;
    let ready = habits::morning(&mut office, pc, place.start);
    habits::browse(&mut office, pc, ready + MINUTE);
    let (jump, host, name) = (office.jump(), office.pc(pc), Office::pc_name(pc));
    let act = Act { from: (&jump, "JUMP01"), on: (&host, &name), user: "adm-ueda" };
    let at = office.at(22 * MINUTE);
    let mut now = acts::winrm(&mut office.wire, at, act) + 5 * SECOND;
    for rank in 0..20 {
        habits::visit(&mut office, pc, now, &Office::site(if rank < 17 { rank } else { 120 + rank }));
        now += office.wire.random.octaves(5 * SECOND, 4);
    }
    office
}

/// A server tells all workstations to install something, and all fetch it from one tenant.
pub(crate) fn software_rollout(place: Place) -> Office {
    let mut office = Office::new(place);
    habits::day(&mut office, 2, 1);
    let at = office.at(70 * MINUTE);
    habits::rollout(&mut office, at, 3 * SECOND);
    office
}

/// Service, task, WMI, DCOM and WinRM by an administrator, and nobody calls outside.
pub(crate) fn remote_admin_no_callback(place: Place) -> Office {
    let mut office = Office::new(place);
    let jump = office.jump();
    for pc in 0..5 {
        let at = office.at(u64::from(pc) * 11 * SECOND);
        habits::morning(&mut office, pc, at);
        let (host, name) = (office.pc(pc), Office::pc_name(pc));
        let act = Act { from: (&jump, "JUMP01"), on: (&host, &name), user: "adm-ueda" };
        let at = office.at(20 * MINUTE + u64::from(pc) * 4 * MINUTE);
        let wire = &mut office.wire;
        match pc {
            0 => acts::service(wire, at, act, "PrinterFix", r"C:\Admin\printerfix.exe"),
            1 => acts::wmi(wire, at, act),
            2 => acts::winrm(wire, at, act),
            3 => acts::dcom(wire, at, act),
            _ => acts::task(wire, at, act),
        };
    }
    office
}

/// Machines that keep time by servers outside and ask for updates by the clock: as regular as any beacon.
pub(crate) fn ntp_and_updates(place: Place) -> Office {
    const UPDATE: &str = "update.system.example";
    let mut office = Office::new(place);
    for pc in 0..6 {
        let host = office.pc(pc);
        let start = office.at(u64::from(pc) * 17 * SECOND);
        for n in 0..(2 * HOUR / (64 * SECOND * 4)) {
            let at: Nanos = start + n * 64 * SECOND * 4;
            let server = Host::outside([192, 0, 2, 123 + pc % 2]);
            directory::ntp(&mut office.wire, at, &host, &server);
        }
        for n in 0..8 {
            let pause = office.wire.random.below(9 * SECOND);
            update(&mut office, pc, start + n * 15 * MINUTE + pause, UPDATE);
        }
    }
    office
}

fn update(office: &mut Office, pc: u8, at: Nanos, name: &str) {
    let (now, server) = office.resolve(at, pc, name);
    let host = office.pc(pc);
    let mut tcp = Tcp::new(&mut office.wire, now, &host, (&server, 443));
    tcp.open();
    let mut session = Tls::open(&mut tcp, Client::Schannel, Some(name), Answer::Resumed12);
    session.exchange(410, 330);
    session.close(Side::Orig);
}
