//! Looks at interfaces and readers once a second, and leaves the sensor's state where others find it.

use super::reader::Counts;
use crate::base::Timestamp;
use crate::capture::{self, InputReport, LinkType, Nic, Recording};
use crate::engine::clock::{self, Stopwatch};
use crate::engine::inject::Inject;
use crate::engine::service::Service;
use crate::output::{Board, InterfaceStatus, Phase, Rotation, leave_status, stored};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What it looks at.
pub(super) struct Monitor<'a> {
    interfaces: &'a [String],
    /// Which interface a ring belongs to.
    of: &'a [usize],
    counts: &'a [Mutex<Counts>],
    board: &'a Board,
    log: &'a Path,
    rotation: Rotation,
    inject: &'a Inject,
    /// What the interfaces had counted before we began.
    before: Vec<Option<Nic>>,
}

impl<'a> Monitor<'a> {
    pub(super) fn new(
        interfaces: &'a [String],
        of: &'a [usize],
        counts: &'a [Mutex<Counts>],
        board: &'a Board,
        (log, rotation): (&'a Path, Rotation),
        inject: &'a Inject,
    ) -> Self {
        let before = interfaces.iter().map(|name| capture::nic(name)).collect();
        Self { interfaces, of, counts, board, log, rotation, inject, before }
    }

    /// The sensor captures from now on.
    pub(super) fn start(&self, now: Timestamp) {
        self.board.update(|status| {
            env!("CARGO_PKG_VERSION").clone_into(&mut status.version);
            status.pid = std::process::id();
            status.started_ns = now.0;
            status.phase = Phase::Capturing;
            status.log.folder = self.log.display().to_string();
        });
        self.look(Duration::ZERO);
        self.leave();
    }

    /// Looks and tells until the run has ended. The service manager hears that we live while both threads of the
    /// pipeline take turns, with or without traffic.
    pub(super) fn run(&self, ended: &AtomicBool, turns: &AtomicU64, beats: &AtomicU64) {
        let mut service = Service::new();
        service.ready("capturing");
        let mut before = (0, 0);
        let mut told = 0_u64;
        let (watch, mut looked) = (Stopwatch::start(), Duration::ZERO);
        while !ended.load(Ordering::Relaxed) {
            let since = watch.elapsed();
            self.look(since.saturating_sub(looked));
            looked = since;
            self.leave();
            let now = (turns.load(Ordering::Relaxed), beats.load(Ordering::Relaxed));
            if now.0 != before.0 && now.1 != before.1 {
                service.alive(now.0);
                before = now;
            }
            if told.is_multiple_of(TELL_EVERY) {
                service.status(&self.in_a_line());
                let stores = stored(self.log, self.rotation);
                self.board.update(|status| status.stores = stores);
            }
            told = told.saturating_add(1);
            thread::park_timeout(EVERY);
        }
        service.stopping();
        self.look(Duration::ZERO);
    }

    /// The state in one line, for `systemctl status`.
    fn in_a_line(&self) -> String {
        let status = self.board.read();
        let sum = |count: fn(&InterfaceStatus) -> u64| status.interfaces.iter().map(count).fold(0, u64::saturating_add);
        let lost = sum(InterfaceStatus::lost);
        let alerts = status.analysis.alerts.iter().map(|alerts| alerts.count).fold(0, u64::saturating_add);
        let wrong = status.config.why.map(|why| format!("; configuration NOT reloaded: {why}"));
        let (received, flows) = (sum(|i| i.received), status.flows.active);
        format!("{received} packets, {lost} lost, {flows} flows, {alerts} alerts{}", wrong.unwrap_or_default())
    }

    /// Leaves the state in the log folder.
    pub(super) fn leave(&self) {
        let now = clock::wall();
        self.board.update(|status| status.updated_ns = now.0);
        // A full disk is told by the log; the state is written again in a second.
        if let Err(error) = leave_status(self.log, &self.board.read()) {
            tracing::debug!(%error, "cannot leave the status");
        }
    }

    /// Packets that each interface's rings or the interface itself lost.
    pub(super) fn dropped(&self) -> Vec<u64> {
        let nic = |n: usize| self.nic(n).map_or(0, |nic| nic.dropped);
        (0..self.interfaces.len()).map(|n| self.sum(n, |c| c.losses.dropped).saturating_add(nic(n))).collect()
    }

    /// Packets that the filter kept back.
    pub(super) fn filtered(&self) -> u64 {
        self.counts.iter().map(|c| held(c).filtered).fold(0, u64::saturating_add)
    }

    /// The interfaces as inputs of the summary; first the recording when there is one, as claims name it.
    pub(super) fn reports(&self, links: &[LinkType], recording: Option<&Recording>) -> Vec<InputReport> {
        let recorded = recording.map(|recording| InputReport {
            path: recording.path().display().to_string(),
            packets: recording.frames(),
            damage: recording.failed().map(str::to_owned),
            ..InputReport::default()
        });
        let dropped = self.dropped();
        let captured = self.interfaces.iter().zip(dropped).enumerate().map(|(n, (name, dropped))| InputReport {
            path: name.clone(),
            packets: self.sum(n, |c| c.delivered.saturating_add(c.filtered)),
            bytes: self.sum(n, |c| c.delivered_bytes),
            links: self.of.iter().zip(links).find(|(of, _)| **of == n).map(|(_, link)| *link).into_iter().collect(),
            dropped: self.sum(n, |c| c.shed_bulk.saturating_add(c.shed_first)).saturating_add(dropped),
            ..InputReport::default()
        });
        recorded.into_iter().chain(captured).collect()
    }

    /// `passed` since the look before.
    fn look(&self, passed: Duration) {
        self.inject.look();
        let seen: Vec<InterfaceStatus> = (0..self.interfaces.len()).map(|n| self.interface(n)).collect();
        let newest = self.counts.iter().map(held).max_by_key(|c| c.jumps).unwrap_or_default();
        self.board.update(|status| {
            for (n, mut now) in seen.into_iter().enumerate() {
                let before = status.interfaces.get(n);
                now.packets_per_s = a_second(before.map(|before| before.delivered), now.delivered, passed);
                let bytes = a_second(before.map(|before| before.delivered_bytes), now.delivered_bytes, passed);
                now.bits_per_s = bytes.saturating_mul(8);
                let went_down = !now.up && before.is_none_or(|before| before.up);
                now.downs = before.map_or(0, |before| before.downs).saturating_add(u64::from(went_down));
                if went_down {
                    tracing::warn!(interface = now.name, "the interface is down");
                } else if now.up && before.is_some_and(|before| !before.up) {
                    tracing::warn!(interface = now.name, "the interface is up again");
                }
                match status.interfaces.get_mut(n) {
                    Some(place) => *place = now,
                    None => status.interfaces.push(now),
                }
            }
            if newest.jumps > status.faults.clock_jumps {
                tracing::warn!(offset_ns = newest.offset, "the clock was set; event time does not go back");
            }
            status.faults.clock_jumps = newest.jumps;
            #[expect(clippy::cast_precision_loss, reason = "for display")]
            let offset = newest.offset as f64 / 1e9;
            status.faults.clock_offset_s = offset;
        });
    }

    fn interface(&self, n: usize) -> InterfaceStatus {
        let nic = self.nic(n);
        let troubled = self.rings(n).any(|c| c.troubled);
        InterfaceStatus {
            name: self.interfaces.get(n).cloned().unwrap_or_default(),
            up: !troubled && nic.is_none_or(|nic| nic.up),
            downs: 0,
            workers: u32::try_from(self.rings(n).count()).unwrap_or(u32::MAX),
            received: self.sum(n, |c| c.losses.received),
            kernel_dropped: self.sum(n, |c| c.losses.dropped),
            nic_dropped: nic.map_or(0, |nic| nic.dropped),
            nic_packets: nic.map_or(0, |nic| nic.packets),
            before_start: self.sum(n, |c| c.before_start),
            delivered: self.sum(n, |c| c.delivered),
            delivered_bytes: self.sum(n, |c| c.delivered_bytes),
            filtered: self.sum(n, |c| c.filtered),
            shed_bulk: self.sum(n, |c| c.shed_bulk),
            shed_first: self.sum(n, |c| c.shed_first),
            left_in_ring: self.sum(n, |c| c.left_in_ring),
            packets_per_s: 0,
            bits_per_s: 0,
        }
    }

    /// What the interface counted since we began.
    fn nic(&self, n: usize) -> Option<Nic> {
        let now = capture::nic(self.interfaces.get(n)?)?;
        let before = self.before.get(n).copied().flatten().unwrap_or_default();
        let since = |now: u64, before: u64| now.saturating_sub(before);
        Some(Nic {
            up: now.up,
            packets: since(now.packets, before.packets),
            dropped: since(now.dropped, before.dropped),
        })
    }

    fn rings(&self, n: usize) -> impl Iterator<Item = Counts> {
        self.of.iter().zip(self.counts).filter(move |(of, _)| **of == n).map(|(_, counts)| held(counts))
    }

    fn sum(&self, n: usize, count: impl Fn(&Counts) -> u64) -> u64 {
        self.rings(n).map(|c| count(&c)).fold(0, u64::saturating_add)
    }
}

fn held(counts: &Mutex<Counts>) -> Counts {
    *counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many more a second; none without a look before, and when hardly any time has passed.
fn a_second(before: Option<u64>, now: u64, passed: Duration) -> u64 {
    let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
    let more = before.map_or(0, |before| now.saturating_sub(before));
    if millis < 100 { 0 } else { more.saturating_mul(1_000) / millis }
}

/// Looks between two lines for the service manager.
const TELL_EVERY: u64 = 10;
/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
