//! A small office: forty workstations, four servers, a resolver, and the names of the web they know.
//!
//! Where and when it stands are parameters, so that tests can move it elsewhere and expect the same story.

use super::dns::{A, Answer, FOUND, look_up};
use super::net::{HOUR, Host, MINUTE, MORNING, Nanos, SECOND, Wire};
use std::collections::BTreeMap;

/// Where and when an office stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// First two octets of its addresses.
    pub(crate) inside: [u8; 2],
    /// Turns the addresses of the outside.
    pub(crate) turn: u8,
    /// When its day begins.
    pub(crate) start: Nanos,
    /// Decides what is left to chance.
    pub(crate) seed: u64,
}

impl Place {
    /// Where the shipped captures play.
    pub(crate) const fn usual(seed: u64) -> Self {
        Self { inside: [10, 20], turn: 0, start: MORNING, seed }
    }
}

/// Workstations of the office.
pub(crate) const WORKSTATIONS: u8 = 40;

/// The office and its wire.
pub(crate) struct Office {
    /// What its sensor sees.
    pub(crate) wire: Wire,
    /// Where it stands.
    pub(crate) place: Place,
    /// Who looked up what until when it holds.
    cached: BTreeMap<(Option<u8>, String), Nanos>,
}

/// Words that names of web sites are made of; the first are the popular ones.
const WORDS: [&str; 40] = [
    "search", "news", "mail", "weather", "video", "maps", "trains", "bank", "shop", "social", "travel", "recipes",
    "jobs", "stocks", "sports", "health", "garden", "camera", "cinema", "books", "games", "music", "paper", "parts",
    "steel", "trade", "motor", "island", "harbour", "forest", "river", "museum", "school", "library", "festival",
    "pottery", "railway", "hiking", "ceramics", "orchard",
];

impl Office {
    /// An office on whose wire nothing has happened.
    pub(crate) fn new(place: Place) -> Self {
        Self { wire: Wire::new(place.seed), place, cached: BTreeMap::new() }
    }

    /// A moment of its day.
    pub(crate) fn at(&self, after: Nanos) -> Nanos {
        self.place.start + after
    }

    /// Workstation `n`, counted from 0.
    pub(crate) fn pc(&self, n: u8) -> Host {
        let [a, b] = self.place.inside;
        Host::inside([a, b, 1, 11 + n])
    }

    /// Its name.
    pub(crate) fn pc_name(n: u8) -> String {
        format!("PC-{:04}", 11 + n)
    }

    /// Who works at it.
    pub(crate) fn user(n: u8) -> String {
        const GIVEN: [&str; 8] = ["a", "h", "k", "m", "n", "r", "s", "y"];
        const FAMILY: [&str; 10] = ["abe", "endo", "hara", "ito", "kato", "mori", "okada", "sato", "ueda", "yano"];
        format!("{}.{}", GIVEN[usize::from(n) % GIVEN.len()], FAMILY[usize::from(n) * 3 % FAMILY.len()])
    }

    /// The antivirus management server.
    pub(crate) fn antivirus(&self) -> Host {
        self.server(10)
    }

    /// The domain controller, resolver, DHCP and time server.
    pub(crate) fn dc(&self) -> Host {
        self.server(5)
    }

    /// The file server.
    pub(crate) fn files(&self) -> Host {
        self.server(6)
    }

    /// The server that installs software.
    pub(crate) fn rollout(&self) -> Host {
        self.server(9)
    }

    /// An administrator's machine among the servers.
    pub(crate) fn jump(&self) -> Host {
        self.server(20)
    }

    fn server(&self, last: u8) -> Host {
        let [a, b] = self.place.inside;
        Host::inside([a, b, 0, last])
    }

    /// Popular and less popular sites: the `rank`th of 160.
    pub(crate) fn site(rank: u64) -> String {
        let rank = rank as usize % 160;
        match rank / WORDS.len() {
            0 => format!("www.{}.example", WORDS[rank]),
            n => format!("www.{}-{}.example", WORDS[rank % WORDS.len()], ["today", "club", "tokyo"][n - 1]),
        }
    }

    /// The address behind a name: smaller sites share one.
    pub(crate) fn address(&self, name: &str) -> Host {
        let sum = name.bytes().fold(7_u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b)));
        let networks = [[198, 51, 100], [203, 0, 113], [192, 0, 2]];
        let [a, b, c] = networks[((sum >> 8) + u32::from(self.place.turn)) as usize % 3];
        Host::outside([a, b, c, 60 + ((sum % 180) as u8 + self.place.turn) % 190])
    }

    /// A workstation learns an address; nobody asks again within ten minutes. Returns when it knows.
    pub(crate) fn resolve(&mut self, at: Nanos, pc: u8, name: &str) -> (Nanos, Host) {
        let host = self.address(name);
        if self.fresh(at, Some(pc), name, 10 * MINUTE) {
            return (at, host);
        }
        let dc = self.dc();
        let forwarded = !self.fresh(at, None, name, HOUR);
        let client = self.pc(pc);
        let answers = [Answer::Address(host.ip)];
        if forwarded {
            let resolver = Host::outside([192, 0, 2, 53]);
            look_up(&mut self.wire, at + SECOND / 1_000, &dc, &resolver, (name, A), (FOUND, &answers));
        }
        let told = look_up(&mut self.wire, at, &client, &dc, (name, A), (FOUND, &answers));
        (told + 2 * SECOND / 1_000, host)
    }

    /// Whether somebody knows a name still; if not, now they do.
    fn fresh(&mut self, at: Nanos, who: Option<u8>, name: &str, lifetime: Nanos) -> bool {
        let until = self.cached.entry((who, name.to_owned())).or_insert(0);
        let fresh = at < *until && at + lifetime >= *until;
        if !fresh {
            *until = at + lifetime;
        }
        fresh
    }
}
