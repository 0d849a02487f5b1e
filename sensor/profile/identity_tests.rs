//! Stories of addresses and machines: evidence in order, then who holds what.

use super::*;
use crate::profile::keys;

const A: [u8; 6] = [0, 0, 0x5e, 0, 0x53, 0xa];
const B: [u8; 6] = [0, 0, 0x5e, 0, 0x53, 0xb];

/// One thing that is learned at a minute.
enum Said {
    Traffic(&'static str),
    Arp(&'static str, [u8; 6]),
    Lease(&'static str, [u8; 6]),
    Account(&'static str, &'static str),
    Name(&'static str, &'static str),
    /// A DHCP client tells its name before it has an address.
    Called([u8; 6], &'static str),
}
use Said::{Account, Arp, Called, Lease, Name, Traffic};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_secs(1_772_496_000 + minute * 60)
}

fn tell(map: &mut Identities, minute: i64, said: &Said) -> HostId {
    let ts = at(minute);
    let label = |name: &str| Arc::<str>::from(keys::label(name).unwrap());
    let spoke = |map: &mut Identities, address: &str| {
        let host = map.holder(ip(address), ts).unwrap_or_else(|| {
            let host = map.new_id();
            map.settle(ip(address), host, ts);
            host
        });
        map.spoke(ip(address), ts);
        host
    };
    let claim = |map: &mut Identities, address: &str, key: Key, grant| {
        map.claim(ip(address), &key, grant, ts).unwrap_or_else(|| spoke(map, address))
    };
    match said {
        Traffic(address) => spoke(map, address),
        Arp(address, mac) => claim(map, address, Key::Mac(*mac), Grant::Observed),
        Lease(address, mac) => claim(map, address, Key::Mac(*mac), Grant::Leased),
        Account(address, name) => claim(map, address, Key::Label(label(name), Trust::Account), Grant::Observed),
        Name(address, name) => claim(map, address, Key::Label(label(name), Trust::Name), Grant::Told),
        Called(mac, name) => {
            map.name_mac(*mac, &label(name));
            map.by_mac.get(mac).copied().flatten().unwrap()
        }
    }
}

/// The machine each line is about, lettered in the order of their coming.
fn letters(story: &[(i64, Said)]) -> (Identities, String) {
    let mut map = Identities::new();
    let mut met = Vec::new();
    let mut letters = String::new();
    for (minute, said) in story {
        let host = tell(&mut map, *minute, said);
        let n = met.iter().position(|known| *known == host).unwrap_or_else(|| {
            met.push(host);
            met.len() - 1
        });
        letters.push(char::from(b'A' + u8::try_from(n).unwrap()));
    }
    (map, letters)
}

#[test]
fn evidence_says_who_an_address_is() {
    for (what, story, expected) in [
        ("traffic alone", vec![(0, Traffic("10.0.0.5")), (9000, Traffic("10.0.0.5"))], "AA"),
        ("a hardware address found out later", vec![(0, Traffic("10.0.0.5")), (30, Arp("10.0.0.5", A))], "AA"),
        (
            "a machine with a new address keeps its id",
            vec![(0, Lease("10.0.0.5", A)), (600, Lease("10.0.0.6", A)), (601, Traffic("10.0.0.6"))],
            "AAA",
        ),
        (
            "the address it had is nobody's",
            vec![(0, Lease("10.0.0.5", A)), (60, Lease("10.0.0.6", A)), (61, Traffic("10.0.0.5"))],
            "AAB",
        ),
        (
            "two machines swap their addresses",
            vec![
                (0, Lease("10.0.0.5", A)),
                (0, Lease("10.0.0.6", B)),
                (60, Lease("10.0.0.6", A)),
                (60, Lease("10.0.0.5", B)),
                (61, Traffic("10.0.0.5")),
                (61, Traffic("10.0.0.6")),
            ],
            "ABABBA",
        ),
        (
            "two machines swap, seen by their accounts alone",
            vec![
                (0, Account("10.0.0.5", "PC-A$")),
                (0, Account("10.0.0.6", "PC-B$")),
                (900, Account("10.0.0.6", "PC-A$")),
                (901, Account("10.0.0.5", "PC-B$")),
                (902, Traffic("10.0.0.5")),
            ],
            "ABABB",
        ),
        (
            "a stronger key contradicts",
            vec![(0, Arp("10.0.0.5", A)), (5, Traffic("10.0.0.5")), (9, Arp("10.0.0.5", B)), (9, Traffic("10.0.0.5"))],
            "AABB",
        ),
        (
            "a name cannot take an address from a fresh hardware address",
            vec![
                (0, Arp("10.0.0.5", A)),
                (1, Name("10.0.0.6", "pc-b")),
                (2, Name("10.0.0.5", "pc-b")),
                (3, Traffic("10.0.0.5")),
            ],
            "ABAA",
        ),
        (
            "a name brings along no machine that is heard elsewhere",
            vec![
                (0, Name("10.0.0.5", "epp01")),
                (0, Traffic("10.0.0.9")),
                (5, Traffic("10.0.0.5")),
                (6, Name("10.0.0.9", "epp01")),
                (7, Traffic("10.0.0.9")),
            ],
            "ABABB",
        ),
        (
            "but one that left its network",
            vec![
                (0, Name("10.0.0.5", "laptop")),
                (8, Traffic("10.0.1.9")),
                (11, Name("10.0.1.9", "laptop")),
                (12, Traffic("10.0.1.9")),
            ],
            "ABAA",
        ),
        (
            "another name on an address that was never silent is the same machine's",
            vec![
                (0, Name("10.0.0.5", "pc-a")),
                (50, Traffic("10.0.0.5")),
                (100, Traffic("10.0.0.5")),
                (130, Name("10.0.0.5", "any-name")),
                (131, Traffic("10.0.0.5")),
            ],
            "AAAAA",
        ),
        (
            "after a silence it is another machine's",
            vec![
                (0, Name("10.0.0.5", "pc-a")),
                (70, Traffic("10.0.0.5")),
                (71, Name("10.0.0.5", "pc-b")),
                (72, Traffic("10.0.0.5")),
            ],
            "AABB",
        ),
        (
            "a machine that left hours ago is not the one that comes",
            vec![(0, Account("10.0.0.5", "pc-a")), (240, Lease("10.0.0.5", B))],
            "AB",
        ),
        (
            "a DHCP client's name and its address meet in the hardware address",
            vec![(0, Called(A, "pc-a")), (0, Lease("10.0.0.5", A)), (300, Name("fd00::5", "pc-a.local"))],
            "AAA",
        ),
        (
            "known by name, then by hardware address at both",
            vec![(0, Name("10.0.0.5", "pc-a")), (1, Arp("10.0.0.5", A)), (700, Arp("10.0.0.9", A))],
            "AAA",
        ),
        (
            "an address silent for a day while its machine lives elsewhere",
            vec![
                (0, Arp("10.0.0.5", A)),
                (10, Arp("10.0.0.6", A)),
                (2000, Traffic("10.0.0.6")),
                (2001, Traffic("10.0.0.5")),
            ],
            "AAAB",
        ),
    ] {
        assert_eq!(letters(&story).1, expected, "{what}");
    }
}

#[test]
fn both_families_of_a_machine_are_joined_and_it_is_said_why() {
    for (what, story, expected) in [
        ("neighbours on the link", vec![(0, Arp("10.0.0.5", A)), (1, Arp("fe80::1234", A))], Some(Trust::Mac)),
        ("one account", vec![(0, Account("10.0.0.5", "pc$")), (1, Account("fd00::9", "PC$"))], Some(Trust::Account)),
        ("one name", vec![(0, Name("fd00::9", "pc.local")), (1, Name("10.0.0.5", "pc"))], Some(Trust::Name)),
        ("two machines", vec![(0, Arp("10.0.0.5", A)), (1, Arp("fe80::1234", B))], None),
    ] {
        let (map, _) = letters(&story);
        let joins: Vec<_> = map.joins().map(|join| join.trust).collect();
        assert_eq!(joins, expected.into_iter().collect::<Vec<_>>(), "{what}");
        assert!(map.joins().all(|join| join.v4.is_ipv4() && join.v6.is_ipv6()), "{what}");
    }
}

#[test]
fn a_hardware_address_with_many_addresses_is_a_routers() {
    let mut map = Identities::new();
    for n in 1..=8 {
        tell(&mut map, n.into(), &Arp(ADDRESSES[usize::from(u8::try_from(n).unwrap())], A));
    }
    let router = tell(&mut map, 8, &Traffic(ADDRESSES[1]));
    assert_eq!((map.is_router(router), map.addresses(router).len()), (false, 8), "eight are a machine's");
    tell(&mut map, 9, &Arp(ADDRESSES[9], A));
    assert!(map.is_router(router));
    assert_eq!(map.addresses(router), [ip(ADDRESSES[1])]);
    let (other, again) = (tell(&mut map, 10, &Traffic(ADDRESSES[2])), tell(&mut map, 11, &Arp(ADDRESSES[2], A)));
    assert!(other != router && again == other, "what lies behind it is each its own, whatever it says");
}

const ADDRESSES: [&str; 10] = [
    "10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8",
    "10.0.0.9",
];

#[test]
fn names_that_go_to_and_fro_on_one_address_make_it_nobodys() {
    let mut map = Identities::new();
    let (mut a, mut b) = (HostId(0), HostId(0));
    for n in 0..4 {
        a = tell(&mut map, n, &Name("10.0.0.5", "pc-a"));
        b = tell(&mut map, n, &Name("10.0.0.5", "pc-b"));
    }
    let shared = tell(&mut map, 5, &Traffic("10.0.0.5"));
    assert_eq!(map.unsteady().collect::<Vec<_>>(), [&ip("10.0.0.5")]);
    assert!(a == shared && b == shared, "the last of the names moved nothing any more");
    assert_eq!(map.trust(shared), Trust::Address);
}

#[test]
fn the_past_of_an_address_can_be_asked() {
    let (map, _) = letters(&[
        (0, Lease("10.0.0.5", A)),
        (30, Traffic("10.0.0.5")),
        (60, Lease("10.0.0.5", B)),
        (90, Traffic("10.0.0.5")),
    ]);
    let [before, now] = map.intervals(ip("10.0.0.5"))[..] else { panic!("two intervals") };
    assert_eq!((before.from, before.to, now.from, now.to), (at(0), at(60), at(60), at(90)));
    assert_eq!(map.holder_at(ip("10.0.0.5"), at(30)), Some(before.host));
    assert_eq!(map.holder_at(ip("10.0.0.5"), at(61)), Some(now.host));
    assert_eq!(map.holder_at(ip("10.0.0.5"), at(-5)), None);
    assert!(before.trust == Trust::Mac && map.counts().conflicts == 1);
}

#[test]
fn a_machine_takes_little_room() {
    assert!(size_of::<Machine>() <= 96, "{} bytes", size_of::<Machine>());
    assert!(size_of::<Held>() <= 56, "{} bytes", size_of::<Held>());
}
