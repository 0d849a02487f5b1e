//! Who goes to a destination, by the kind of program that speaks there.

use super::client_class::{CLASSES, Class};
use super::renamed::as_it_is;
use crate::base::distinct::{estimate, mark};
use crate::base::hash::mix;
use crate::profile::HostId;

/// Who goes there.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Visitors {
    /// Connections.
    pub(super) by_class: [f64; CLASSES.len()],
    /// A bit for each host that showed a class there, which several may share: good to a tenth up to 100 hosts, and as many
    /// as there may be are told as 310. A pair that made room elsewhere and comes back is not counted twice.
    #[serde(default)]
    shown_by: [u64; CLASSES.len()],
}

impl Visitors {
    /// A host's connection by a program of the class at this place.
    pub(super) fn note(&mut self, host: HostId, at: usize) {
        if let (Some(count), Some(bits)) = (self.by_class.get_mut(at), self.shown_by.get_mut(at)) {
            *count += 1.0;
            mark(std::slice::from_mut(bits), mix(u64::from(host.0)));
        }
    }

    /// Hosts that go there, about.
    pub(super) fn hosts(&self) -> f64 {
        estimate(self.shown_by.iter().fold(0, |all, bits| all | bits).count_ones(), u64::BITS)
    }

    /// Those that do with such a program.
    pub(super) fn hosts_with(&self, class: Class) -> f64 {
        estimate(self.shown_by.get(class.at()).map_or(0, |bits| bits.count_ones()), u64::BITS)
    }
}

as_it_is!(Visitors);

/// Share of a class among counts, drawn towards `prior` by the weight of `shrink` of them.
pub(super) fn share(counts: &[f64; CLASSES.len()], at: usize, shrink: f64, prior: f64) -> f64 {
    let (n, here): (f64, f64) = (counts.iter().sum(), counts.get(at).copied().unwrap_or(0.0));
    (here + shrink * prior) / (n + shrink).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visitors_are_told_apart_and_none_counts_twice() {
        let mut visitors = Visitors::default();
        for n in (0..3).flat_map(|_| 0..40) {
            visitors.note(HostId(n), if n < 10 { 1 } else { 0 });
        }
        let within = |count: f64, n: f64| (count - n).abs() <= 0.15 * n;
        assert!(within(visitors.hosts(), 40.0), "{}", visitors.hosts());
        assert!(within(visitors.hosts_with(Class::System), 10.0), "{}", visitors.hosts_with(Class::System));
        assert!(within(visitors.by_class[1], 30.0) && visitors.hosts_with(Class::Script) < 1e-9);
        let one = Visitors { shown_by: [1, 0, 0, 0], ..Visitors::default() };
        assert!(one.hosts() < 1.5, "one is not taken for several: {}", one.hosts());
    }
}
