//! Single deeds that must be found: data in names, data in echoes, a sweep, the directory's secrets, a server made to
//! sign in elsewhere. Each beside an ordinary morning.

use super::acts::{self, Act, map_endpoint};
use super::dcerpc::{Interface, Sealed};
use super::dns::{Answer, FOUND, TXT, look_up};
use super::habits;
use super::net::{Host, MINUTE, MS, Nanos, SECOND, checksum};
use super::office::{Office, Place};
use super::tcp::Tcp;

/// Directory replication (MS-DRSR).
const DRSUAPI: Interface = ("e3514235-4b06-11d1-ab04-00c04fc2dcd2", 4);
/// Encrypting file system (MS-EFSR).
const EFSRPC: Interface = ("df1941c5-fe89-4e79-bf10-463657acf44d", 1);

/// An office in which six PCs have started their day; and when they are ready.
fn morning(seed: u64) -> (Office, Nanos) {
    let mut office = Office::new(Place::usual(seed));
    let mut ready = office.place.start;
    for pc in 0..6 {
        let at = office.at(u64::from(pc) * 13 * SECOND);
        ready = ready.max(habits::morning(&mut office, pc, at));
        habits::browse(&mut office, pc, ready + MINUTE);
    }
    (office, ready + 2 * MINUTE)
}

/// A client asks for 190 names of 52 random letters below one domain, and is answered by text.
pub(crate) fn dns_tunnel() -> Office {
    let (mut office, start) = morning(0xc0f1);
    let (client, resolver) = (office.pc(4), office.dc());
    let mut now = start;
    for _ in 0..190 {
        let letters = |n: usize, office: &mut Office| -> String {
            (0..n).map(|_| char::from(*office.wire.random.pick(b"abcdefghijklmnopqrstuvwxyz234567"))).collect()
        };
        let name = format!("{}.{}.t.quiet-harbour.example", letters(26, &mut office), letters(26, &mut office));
        let text = letters(90, &mut office);
        look_up(&mut office.wire, now, &client, &resolver, (&name, TXT), (FOUND, &[Answer::Text(text)]));
        now += office.wire.random.between(SECOND, 4 * SECOND);
    }
    office
}

/// Echoes to one address whose answers do not repeat them: commands come in, results go out.
pub(crate) fn icmp_tunnel() -> Office {
    let (mut office, start) = morning(0xc0f2);
    let (client, server) = (office.pc(2), Host::outside([198, 51, 100, 77]));
    let mut now = start;
    for n in 0..90_u16 {
        let up = office.wire.random.between(40, 120) as usize;
        let down = office.wire.random.between(300, 900) as usize;
        for (kind, len, from, to) in [(8_u8, up, &client, &server), (0, down, &server, &client)] {
            let body = office.wire.random.bytes(len);
            let mut message = [&[kind, 0, 0, 0, 0x4b, 0x1d][..], &n.to_be_bytes(), &body].concat();
            let sum = checksum(&[&message]).to_be_bytes();
            message[2..4].copy_from_slice(&sum);
            let packet = office.wire.ip(from, to, 1, &message);
            office.wire.send(now, from, to, &packet);
            now += 18 * MS;
        }
        now += office.wire.random.between(SECOND, 3 * SECOND);
    }
    office
}

/// A PC creates a service on five others within two minutes; nobody calls outside.
pub(crate) fn sweep() -> Office {
    let (mut office, mut now) = morning(0xc0f3);
    let (actor, name) = (office.pc(0), Office::pc_name(0));
    for pc in 1..6 {
        let (host, other) = (office.pc(pc), Office::pc_name(pc));
        let act = Act { from: (&actor, &name), on: (&host, &other), user: "adm-ueda" };
        now = acts::service(&mut office.wire, now, act, "WinHealthSvc", r"C:\Windows\Temp\whs.exe") + 15 * SECOND;
    }
    office
}

/// A PC replicates the directory from the domain controller.
pub(crate) fn directory_secrets() -> Office {
    let (mut office, now) = morning(0xc0f4);
    let (client, name, dc) = (office.pc(3), Office::pc_name(3), office.dc());
    let act = Act { from: (&client, &name), on: (&dc, "DC01"), user: "adm-ueda" };
    call(&mut office, now, act, DRSUAPI, &[0, 12, 3, 3]);
    office
}

/// A PC names a path on itself to the domain controller, which connects there.
pub(crate) fn coerced() -> Office {
    let (mut office, now) = morning(0xc0f5);
    let (client, name, dc) = (office.pc(3), Office::pc_name(3), office.dc());
    let act = Act { from: (&client, &name), on: (&dc, "DC01"), user: "adm-ueda" };
    let asked = call(&mut office, now, act, EFSRPC, &[4]);
    let back = Act { from: (&dc, "DC01"), on: (&client, &name), user: "DC01$" };
    acts::copy(&mut office.wire, asked + 300 * MS, back, "share.txt", b"x");
    office
}

/// Sealed calls of an interface over TCP, one after the other.
fn call(office: &mut Office, at: Nanos, act: Act<'_>, interface: Interface, opnums: &[u16]) -> Nanos {
    let port = 49_664;
    let at = map_endpoint(&mut office.wire, at, act, interface, port);
    let mut tcp = Tcp::new(&mut office.wire, at, act.from.0, (act.on.0, port));
    tcp.open();
    let mut rpc = Sealed::bind(&mut tcp, interface, port, (act.user, act.from.1, act.on.1));
    for opnum in opnums {
        rpc.call(*opnum, None, 180, 700);
    }
    rpc.close()
}

/// What must not alarm though it looks a little like it: reputation look-ups, path MTU tests.
pub(crate) fn lookalikes() -> Office {
    let (mut office, start) = morning(0xc0f6);
    let (client, resolver) = (office.pc(4), office.dc());
    let mut now = start;
    for _ in 0..60 {
        let hash: String = (0..32).map(|_| char::from(*office.wire.random.pick(b"0123456789abcdef"))).collect();
        let name = format!("{hash}.rep.guard.example");
        look_up(&mut office.wire, now, &client, &resolver, (&name, TXT), (FOUND, &[Answer::Text("clean".to_owned())]));
        now += office.wire.random.between(10 * SECOND, 40 * SECOND);
    }
    let server = Host::outside([198, 51, 100, 78]);
    for n in 0..20_u16 {
        let body = office.wire.random.bytes(1_400);
        for (kind, from, to) in [(8_u8, &client, &server), (0, &server, &client)] {
            let mut message = [&[kind, 0, 0, 0, 0x4b, 0x1e][..], &n.to_be_bytes(), &body].concat();
            let sum = checksum(&[&message]).to_be_bytes();
            message[2..4].copy_from_slice(&sum);
            let packet = office.wire.ip(from, to, 1, &message);
            office.wire.send(now, from, to, &packet);
            now += 18 * MS;
        }
        now += SECOND;
    }
    office
}
