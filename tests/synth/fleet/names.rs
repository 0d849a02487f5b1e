//! Destination owners and what hosts are called.
//!
//! A tenant is a rank of popularity. Its name, kind and addresses follow from the rank, so a million of them cost
//! nothing. Three in ten live below a shared cloud's suffix, each with a name of its own; a handful of services put all
//! customers behind one name. Labels below real suffixes start with `yukue-test-`.

use super::dice::Dice;
use super::flow::Client;

/// A name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(u32);

/// All names of a fleet's world.
#[derive(Debug)]
pub(crate) struct Names {
    seed: u64,
    cloud_share: f64,
    made: Vec<(Box<str>, u32)>,
    pub(super) pcs: u32,
    pub(super) servers: u32,
}

impl Names {
    pub(crate) const fn new(seed: u64, cloud_share: f64, pcs: u32, servers: u32) -> Self {
        Self { seed, cloud_share, made: Vec::new(), pcs, servers }
    }

    /// The tenant of this rank of popularity.
    pub(crate) const fn tenant(rank: u64) -> Name {
        Name((rank as u32) & !MADE)
    }

    /// A name of its own, at an address.
    pub(crate) fn make(&mut self, text: String, ip: u32) -> Name {
        self.made.push((text.into(), ip));
        Name((self.made.len() - 1) as u32 | MADE)
    }

    /// A made-up company's name, at an address that follows from it.
    pub(crate) fn make_site(&mut self, text: String) -> Name {
        let number = text.bytes().fold(7_u64, |sum, b| sum.wrapping_mul(31) + u64::from(b));
        self.make(text, somewhere(number))
    }

    pub(crate) fn text(&self, name: Name) -> Box<str> {
        if name.0 & MADE != 0 {
            return self.made[(name.0 & !MADE) as usize].0.clone();
        }
        let rank = name.0;
        match self.kind(rank) {
            Some(n) => CLOUDS[n].0.replace('#', &rank.to_string()).into(),
            None => format!("{}.site-{rank}.example", ["www", "app", "cdn", "static"][rank as usize % 4]).into(),
        }
    }

    /// Where it lies.
    pub(crate) fn ip(&self, name: Name) -> u32 {
        if name.0 & MADE != 0 {
            return self.made[(name.0 & !MADE) as usize].1;
        }
        match self.kind(name.0) {
            Some(n) => CLOUDS[n].1 | (Dice::of([self.seed, 11, name.0.into(), 0]).next() as u32 & 0xffff),
            None => somewhere(u64::from(name.0) ^ self.seed << 32),
        }
    }

    /// Which cloud, if any.
    fn kind(&self, rank: u32) -> Option<usize> {
        let mut dice = Dice::of([self.seed, 12, rank.into(), 0]);
        dice.chance(self.cloud_share).then(|| dice.below(CLOUDS.len()))
    }

    /// What a host calls itself.
    pub(crate) fn host(&self, number: u32) -> String {
        match number {
            n if n < self.pcs => format!("PC-{n:06}"),
            n if n < self.pcs + self.servers => format!("SV-{n:06}"),
            n => format!("DV-{n:06}"),
        }
    }
}

/// Below which customers have names of their own, and where these lie (a /16 of the vendor's published ranges).
const CLOUDS: &[(&str, u32)] = &[
    ("yukue-test-a#.blob.core.windows.net", ip(20, 150)),
    ("yukue-test-b#.s3.ap-northeast-1.amazonaws.com", ip(52, 219)),
    ("yukue-test-c#.cloudfront.net", ip(13, 33)),
    ("yukue-test-d#.azurewebsites.net", ip(20, 43)),
    ("yukue-test-e#.azureedge.net", ip(13, 107)),
    ("yukue-test-f#.sharepoint.com", ip(13, 107)),
];

/// One name for all customers: name, address, who usually talks to it.
pub(crate) const PATH_STYLE: &[(&str, u32, Client)] = &[
    ("storage.googleapis.com", ip(142, 250), Client::Chromium),
    ("raw.githubusercontent.com", ip(185, 199) | 0x6c85, Client::Chromium),
    ("graph.microsoft.com", ip(20, 190), Client::Chromium),
    ("content.dropboxapi.com", ip(162, 125), Client::Chromium),
    ("api.telegram.org", ip(149, 154) | 0xa7dc, Client::Chromium),
];

const fn ip(a: u32, b: u32) -> u32 {
    a << 24 | b << 16
}

/// A hosting company's machine: some share it (RFC 2544 block).
fn somewhere(number: u64) -> u32 {
    ip(198, 18) | (Dice::of([number, 13, 0, 0]).next() as u32 & 0x1_ffff)
}

const MADE: u32 = 1 << 31;

#[test]
fn tenants_keep_their_names_and_three_in_ten_are_cloud_customers() {
    let mut names = Names::new(3, 0.3, 10, 2);
    let cloud = (0..2_000).filter(|rank| names.text(Names::tenant(*rank)).contains("yukue-test-")).count();
    assert!((500..700).contains(&cloud), "{cloud}");
    let own = names.make("x.example".to_owned(), 9);
    assert_eq!((&*names.text(own), names.ip(own)), ("x.example", 9));
    assert_eq!(names.ip(Names::tenant(5)), names.ip(Names::tenant(5)));
    assert_eq!([names.host(3), names.host(11), names.host(12)], ["PC-000003", "SV-000011", "DV-000012"]);
}
