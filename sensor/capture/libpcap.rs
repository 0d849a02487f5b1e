//! libpcap as a second [`Source`]: the reference our own readers are held against. It reads what it reads (no
//! compression, one link type a file) at twice the cost a packet, so it is not what the sensor runs on.

use super::{CaptureError, Frame, LinkType, Source, inputs};
use crate::base::Timestamp;
use pcap::{Capture, Offline, Precision};
use std::io;
use std::path::{Path, PathBuf};

/// One file, read by libpcap.
pub(super) struct Libpcap {
    path: PathBuf,
    capture: Capture<Offline>,
    link: LinkType,
    number: u32,
    /// What ended it, when that was not its end.
    pub(super) damage: Option<String>,
}

impl Libpcap {
    /// With nanoseconds: without asking, libpcap cuts times to microseconds.
    pub(super) fn open(path: &Path, filter: Option<&str>) -> Result<Self, CaptureError> {
        let other = |error: pcap::Error| inputs::failed(path, io::Error::other(error));
        let mut capture = Capture::from_file_with_precision(path, Precision::Nano).map_err(other)?;
        if let Some(expression) = filter {
            capture.filter(expression, true).map_err(other)?;
        }
        let link = LinkType(u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX));
        Ok(Self { path: path.to_owned(), capture, link, number: 0, damage: None })
    }
}

impl Source for Libpcap {
    fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        match self.capture.next_packet() {
            Ok(packet) => {
                self.number = self.number.saturating_add(1);
                Ok(Some(Frame {
                    // The field is called microseconds and holds nanoseconds.
                    ts: Timestamp::new(packet.header.ts.tv_sec, packet.header.ts.tv_usec),
                    link: self.link,
                    bytes: packet.data,
                    wire_len: packet.header.len,
                    input: 0,
                    number: self.number,
                }))
            }
            Err(pcap::Error::NoMorePackets) => Ok(None),
            Err(pcap::Error::PcapError(what)) => {
                self.damage = Some(what);
                Ok(None)
            }
            Err(error) => Err(inputs::failed(&self.path, io::Error::other(error))),
        }
    }
}
