//! One capture of either format, from anything that can be read: files under layers of compression, standard input,
//! bytes in memory. Damage ends it and is stated; it is no error, since everything before it was read.

use super::buffer::Buffer;
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::stream::Magic;
use super::{CaptureError, Frame, InputReport, LinkType, Source, Step};
use crate::base::Timestamp;
use std::io::{self, Read};

/// A capture being read.
pub(crate) struct Capture<R> {
    buffer: Buffer<R>,
    format: Format,
    frame: Place,
    report: InputReport,
    input: u32,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Box<Pcapng>),
    Ended,
}

/// Where in the buffer the current frame lies.
#[derive(Clone, Copy, Default)]
struct Place {
    ts: Timestamp,
    link: LinkType,
    at: usize,
    len: usize,
    wire_len: u32,
    /// To be consumed before the next one.
    total: usize,
}

impl<R: Read> Capture<R> {
    /// A capture whose magic was seen in `buffer` but not consumed; `input` is what its frames are marked with.
    pub(super) fn new(magic: Magic, mut buffer: Buffer<R>, input: u32) -> io::Result<Self> {
        let (format, damage) = match magic {
            Magic::Pcapng => (Format::Pcapng(Box::default()), None),
            _ => match Pcap::open(&mut buffer)? {
                Ok(pcap) => (Format::Pcap(pcap), None),
                Err(what) => (Format::Ended, Some(what)),
            },
        };
        let mut capture = Self { buffer, format, frame: Place::default(), report: InputReport::default(), input };
        if let Some(what) = damage {
            capture.end(Some(&what));
        }
        Ok(capture)
    }

    /// Goes to the next packet; its time, or `None` at the end. An error is the source's own, not damage.
    #[inline]
    pub(crate) fn advance(&mut self) -> io::Result<Option<Timestamp>> {
        self.buffer.consume_bytes(self.frame.total);
        self.frame.total = 0;
        let step = match &mut self.format {
            Format::Pcap(pcap) => pcap.step(&mut self.buffer),
            Format::Pcapng(pcapng) => pcapng.step(&mut self.buffer),
            Format::Ended => return Ok(None),
        };
        match step {
            Ok(Step::Frame { ts, link, at, len, wire_len, total }) => {
                self.count(ts, link, u32::try_from(len).is_ok_and(|len| len < wire_len));
                self.frame = Place { ts, link, at, len, wire_len, total };
                Ok(Some(ts))
            }
            Ok(Step::End) => {
                self.end(None);
                Ok(None)
            }
            Ok(Step::Damage(what)) => {
                self.end(Some(&what));
                Ok(None)
            }
            // What the operating system did not say, a decompressor did.
            Err(error) if error.raw_os_error().is_none() => {
                self.end(Some(&format!("decompression: {error}")));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The packet that [`Capture::advance`] went to; it lives until the next call.
    #[inline]
    pub(crate) fn frame(&self) -> Frame<'_> {
        let Place { ts, link, at, len, wire_len, .. } = self.frame;
        let bytes = self.buffer.available().get(at..at.saturating_add(len)).unwrap_or_default();
        let number = u32::try_from(self.report.packets).unwrap_or(u32::MAX);
        Frame { ts, link, bytes, wire_len, input: self.input, number }
    }

    /// What was read until now.
    pub(super) const fn report(&self) -> &InputReport {
        &self.report
    }

    /// What is read from.
    pub(super) const fn source(&self) -> &R {
        self.buffer.source()
    }

    /// What is read from, and the report.
    pub(super) fn into_parts(self) -> (R, InputReport) {
        (self.buffer.into_source(), self.report)
    }

    /// What is read from, to change it.
    pub(super) const fn source_mut(&mut self) -> &mut R {
        self.buffer.source_mut()
    }

    /// Where the current packet begins.
    pub(super) const fn position(&self) -> u64 {
        self.buffer.position()
    }

    /// The same, and forgets its bytes until [`Capture::reload`].
    pub(super) fn release(&mut self) -> u64 {
        self.buffer.release();
        self.buffer.position()
    }

    /// Reads the current packet again; `false` when it is no longer there.
    pub(super) fn reload(&mut self) -> io::Result<bool> {
        self.buffer.need(self.frame.total)
    }

    #[inline]
    fn count(&mut self, ts: Timestamp, link: LinkType, cut: bool) {
        let report = &mut self.report;
        report.truncated = report.truncated.saturating_add(u64::from(cut));
        report.clock.note(ts, report.last.unwrap_or(ts));
        report.packets = report.packets.saturating_add(1);
        report.first = Some(report.first.map_or(ts, |first| first.min(ts)));
        report.last = Some(report.last.map_or(ts, |last| last.max(ts)));
        if report.links.last() != Some(&link) && !report.links.contains(&link) && report.links.len() < MAX_LINKS {
            report.links.push(link);
        }
    }

    fn end(&mut self, damage: Option<&str>) {
        if let Format::Pcapng(pcapng) = &self.format {
            self.report.untimed = pcapng.untimed;
            self.report.dropped = pcapng.dropped;
            self.report.until = pcapng.until;
        }
        self.format = Format::Ended;
        self.report.damage = damage.map(|what| {
            let (packets, position) = (self.report.packets, self.buffer.position());
            format!("after packet {packets}, at byte {position} of the capture: {what}")
        });
    }
}

impl<R: Read> Source for Capture<R> {
    fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        match self.advance() {
            Ok(Some(_)) => Ok(Some(self.frame())),
            Ok(None) => Ok(None),
            Err(source) => Err(CaptureError::Io { path: self.report.path.clone(), source }),
        }
    }
}

/// Link types listed in a report; a capture with more is made to be read by fuzzers.
const MAX_LINKS: usize = 64;
