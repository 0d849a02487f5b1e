//! Bytes in. One `Source` over files, folders, streams and (later) interfaces; packets are dropped nowhere else.

use crate::base::Timestamp;

/// One captured frame, borrowed from the source's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// When it was captured.
    pub(crate) ts: Timestamp,
    /// What the first header is.
    pub(crate) link: LinkType,
    /// What was captured of it.
    pub(crate) bytes: &'a [u8],
    /// How long it was on the wire; more than `bytes.len()` when cut by the snap length.
    pub(crate) wire_len: u32,
    /// Which input it came from (index into the summary's files or interfaces).
    pub(crate) input: u32,
}

/// Link-layer header type, the number of <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkType(pub(crate) u16);

impl LinkType {
    pub(crate) const NULL: Self = Self(0);
    pub(crate) const ETHERNET: Self = Self(1);
    pub(crate) const PPP: Self = Self(9);
    pub(crate) const RAW: Self = Self(101);
    /// OpenBSD's and BSD/OS's DLT_RAW values that end up in files.
    pub(crate) const RAW_BSD: Self = Self(12);
    pub(crate) const RAW_OPENBSD: Self = Self(14);
    pub(crate) const LOOP: Self = Self(108);
    pub(crate) const LINUX_SLL: Self = Self(113);
    pub(crate) const IPV4: Self = Self(228);
    pub(crate) const IPV6: Self = Self(229);
    pub(crate) const LINUX_SLL2: Self = Self(276);
}
