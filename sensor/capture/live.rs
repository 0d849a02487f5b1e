//! Live interfaces: libpcap over packet sockets with memory-mapped rings (TPACKET_V3), several rings an interface.
//!
//! What libpcap 1.10 does and does not do decides the shape. Its timeout is not one on a quiet link, so a ring is read
//! without blocking and waited for with poll(2). Immediate mode would choose TPACKET_V2, so it stays off. The kernel
//! takes the outer VLAN tag out of a frame before its filter runs and libpcap puts it back for the reader, so the kernel
//! gets a wider expression (`X or vlan`) and what passes is judged again here, as frames of a file are. Rings join their
//! fan-out group one after the other, and each sees every packet until then: what came before the last one joined is
//! not used. An interface that goes down and comes up again is followed by the kernel; one that is deleted ends the run.

use super::filter::Filter;
use super::{CaptureError, Frame, LinkType};
use crate::base::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture, Precision};
use std::fs;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

/// How interfaces are opened.
#[derive(Clone, Debug)]
pub(crate) struct Taps {
    /// Bytes kept of a frame.
    pub(crate) snaplen: u32,
    /// Ring of one worker, in MiB.
    pub(crate) buffer_mib: u32,
    /// Rings an interface.
    pub(crate) workers: u32,
    /// BPF.
    pub(crate) filter: Option<String>,
}

/// One ring of an interface.
pub(crate) struct Tap {
    interface: Arc<str>,
    index: u32,
    capture: Capture<Active>,
    link: LinkType,
    filter: Option<Filter>,
    losses: Losses,
    /// Packets before this are not used.
    begin: Timestamp,
}

/// What a ring counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Put into the ring.
    pub(crate) received: u64,
    /// Found no room in it.
    pub(crate) dropped: u64,
    /// As libpcap last said: 32 bits, and the first includes the second.
    last: (u32, u32),
}

/// What one turn of reading met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Packets taken out of the ring.
    pub(crate) read: u64,
    /// Of these, from before all rings had joined.
    pub(crate) before_start: u64,
    /// Of these, kept back by the filter.
    pub(crate) filtered: u64,
}

/// What waiting for packets came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// There may be packets.
    Ready,
    /// There are none.
    Quiet,
    /// The interface is down, or something else is wrong with the socket; reading says what.
    Troubled,
}

/// What the system says when an interface cannot be opened, and what would do.
fn advised(message: String) -> String {
    let says = |words: &str| message.contains(words);
    if says("No such device") {
        let table = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
        let names: Vec<&str> = table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        format!("{message}; there are {}", names.join(", "))
    } else if says("not permitted") || says("ermission") {
        format!("{message}; capturing takes CAP_NET_RAW: as root, as the service, or after setcap cap_net_raw=ep yukue")
    } else {
        message
    }
}

/// Opens an interface with as many rings as asked for, dealt by flow.
pub(crate) fn tap(interface: &str, how: &Taps) -> Result<Vec<Tap>, CaptureError> {
    let name: Arc<str> = interface.into();
    let mut taps = Vec::new();
    for _ in 0..how.workers.max(1) {
        taps.push(Tap::open(&name, how)?);
    }
    if taps.len() > 1 {
        let mut group = None;
        for tap in &taps {
            let socket = tap.capture.as_fd();
            let joined = match group {
                None => yukue_ring::found(socket).map(|found| group = Some(found)),
                Some(group) => yukue_ring::join(socket, group),
            };
            joined.map_err(|e| failed(interface, format!("cannot share it between workers: {e}")))?;
        }
    }
    Ok(taps)
}

impl Tap {
    fn open(interface: &Arc<str>, how: &Taps) -> Result<Self, CaptureError> {
        let wrong = |error: pcap::Error| failed(interface, advised(in_words(error)));
        let ring = i32::try_from(how.buffer_mib.clamp(1, MAX_BUFFER_MIB)).unwrap_or(1).saturating_mul(1 << 20);
        let capture = Capture::from_device(&**interface)
            .map_err(wrong)?
            .promisc(true)
            .immediate_mode(false)
            .timeout(RETIRE_MS)
            .snaplen(i32::try_from(how.snaplen).unwrap_or(i32::MAX))
            .buffer_size(ring)
            .precision(Precision::Nano)
            .open()
            .and_then(Capture::setnonblock);
        let mut capture = capture.map_err(wrong)?;
        let index =
            yukue_ring::interface_index(interface).map_err(|e| failed(interface, format!("no such interface: {e}")))?;
        let link = LinkType(u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX));
        let mut filter = how.filter.as_deref().map(Filter::new).transpose()?;
        if let Some(filter) = &mut filter {
            filter.prepare(link)?;
            if let Some(wider) = filter.for_the_kernel(link) {
                // An expression that libpcap thinks to match nothing is no error: then every frame is judged here.
                if let Err(error) = capture.filter(&wider, true) {
                    tracing::info!(%interface, %error, "the kernel takes no filter, all frames are filtered here");
                }
            }
        }
        let interface = Arc::clone(interface);
        Ok(Self { interface, index, capture, link, filter, losses: Losses::default(), begin: Timestamp::MIN })
    }

    /// What the first header of its frames is.
    pub(crate) const fn link(&self) -> LinkType {
        self.link
    }

    /// Sets the moment from which packets are used: when the last ring had joined.
    pub(crate) const fn begin(&mut self, at: Timestamp) {
        self.begin = at;
    }

    /// Waits for packets, not longer than `most`.
    pub(crate) fn wait(&self, most: Duration) -> Wait {
        let mut fds = [PollFd::new(self.capture.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(_) => Wait::Quiet,
            Ok(_) => {
                let [fd] = &fds;
                if fd.revents() == Some(PollFlags::POLLIN) { Wait::Ready } else { Wait::Troubled }
            }
        }
    }

    /// Takes at most `most` packets out of the ring without waiting.
    pub(crate) fn read(&mut self, most: usize, mut each: impl FnMut(&Frame<'_>)) -> Result<Turn, CaptureError> {
        let (link, begin) = (self.link, self.begin);
        let (filter, mut turn, mut wrong) = (&mut self.filter, Turn::default(), None);
        let done = self.capture.dispatch(Some(most), |packet| {
            turn.read = turn.read.saturating_add(1);
            // The field is called microseconds and holds nanoseconds.
            let ts = Timestamp::new(packet.header.ts.tv_sec, packet.header.ts.tv_usec);
            let frame = Frame { ts, link, bytes: packet.data, wire_len: packet.header.len, input: 0, number: 0 };
            if ts < begin {
                turn.before_start = turn.before_start.saturating_add(1);
                return;
            }
            match filter.as_mut().map_or(Ok(true), |filter| filter.passes(&frame)) {
                Ok(true) => each(&frame),
                Ok(false) => turn.filtered = turn.filtered.saturating_add(1),
                Err(error) => wrong = Some(error),
            }
        });
        if let Some(error) = wrong {
            return Err(error);
        }
        match done {
            Ok(_) => Ok(turn),
            Err(error) => {
                self.is_there()?;
                Err(failed(&self.interface, in_words(error)))
            }
        }
    }

    /// An error when the interface was deleted, also when one of the same name took its place.
    pub(crate) fn is_there(&self) -> Result<(), CaptureError> {
        match yukue_ring::interface_exists(self.index) {
            true => Ok(()),
            false => Err(CaptureError::Gone { interface: self.interface.to_string() }),
        }
    }

    /// What the ring received and lost until now.
    pub(crate) fn losses(&mut self) -> Losses {
        if let Ok(stat) = self.capture.stats() {
            self.losses.add(stat.received, stat.dropped);
        }
        self.losses
    }
}

impl Losses {
    /// Takes in what libpcap counts now.
    fn add(&mut self, received: u32, dropped: u32) {
        let delta = |now: u32, before: u32| u64::from(now.wrapping_sub(before));
        let (all, lost) = (delta(received, self.last.0), delta(dropped, self.last.1));
        self.received = self.received.saturating_add(all.saturating_sub(lost));
        self.dropped = self.dropped.saturating_add(lost);
        self.last = (received, dropped);
    }
}

/// What an interface says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nic {
    /// Whether packets can come: the kernel's operational state; where it cannot be read, yes.
    pub(crate) up: bool,
    /// Packets it received.
    pub(crate) packets: u64,
    /// Packets it lost: dropped, missed, and overrun in its queue.
    pub(crate) dropped: u64,
}

/// Reads an interface's own counters, which are as old as it is and have 64 bits.
pub(crate) fn nic(interface: &str) -> Option<Nic> {
    // /proc/self/net is that of our own network namespace; /sys may be mounted for another one.
    let table = fs::read_to_string("/proc/self/net/dev").ok()?;
    let line = table.lines().find_map(|l| l.trim_start().strip_prefix(interface)?.strip_prefix(':'))?;
    let mut fields = line.split_whitespace().map(|n| n.parse::<u64>().unwrap_or(0));
    // Receiving side: bytes, packets, errs, drop, fifo, …
    let (packets, drop, fifo) = (fields.nth(1)?, fields.nth(1)?, fields.next()?);
    let state = fs::read_to_string(format!("/sys/class/net/{interface}/operstate")).unwrap_or_default();
    let up = !matches!(state.trim(), "down" | "lowerlayerdown" | "notpresent" | "dormant");
    Some(Nic { up, packets, dropped: drop.saturating_add(fifo) })
}

/// Waits without a descriptor.
pub(crate) fn rest(time: Duration) {
    let _ = poll(&mut [], PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)); // Woken early by a signal is as good.
}

fn failed(interface: &str, message: impl Into<String>) -> CaptureError {
    CaptureError::Interface { interface: interface.to_owned(), message: message.into() }
}

fn in_words(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message,
        other => other.to_string(),
    }
}

/// The kernel hands a block of packets over when it is full, or this long after its first packet.
pub(crate) const RETIRE_MS: i32 = 50;
/// libpcap takes the ring's size as a positive 32-bit number of bytes.
const MAX_BUFFER_MIB: u32 = 2_047;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_32_bits_become_64_and_drops_are_not_received() {
        let mut losses = Losses::default();
        losses.add(60_372, 52_248);
        assert_eq!((losses.received, losses.dropped), (8_124, 52_248), "received includes dropped");
        losses.last = (u32::MAX - 4, u32::MAX);
        losses.add(5, 1);
        assert_eq!((losses.received, losses.dropped), (8_132, 52_250), "both wrapped");
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let how = Taps { snaplen: 65_535, buffer_mib: 1, workers: 1, filter: None };
        let error = tap("nosuchif0", &how).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.starts_with("nosuchif0: "), "{error}");
    }
}
