//! Stored bytes and the layers of compression over them, told apart by magic and never by name.
//!
//! Whatever is read of a stored file goes through its digest once, so the summary's SHA-256 costs no second pass and
//! covers what no reader understood as well.

use super::buffer::Buffer;
use flate2::bufread::MultiGzDecoder;
use ring::digest::{Context, SHA256};
use std::io::{self, Read};

/// A file or standard input as it is stored.
pub(crate) struct Stored {
    /// `None` while the file is put aside.
    source: Option<Box<dyn Read + Send>>,
    digest: Context,
    bytes: u64,
    /// Bytes that come again after a file was put aside, and are in the digest already.
    again: u64,
}

impl Stored {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self { source: Some(source), digest: Context::new(&SHA256), bytes: 0, again: 0 }
    }

    /// Bytes read so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads what is left, so that the digest covers all of it.
    fn drain(&mut self) -> io::Result<()> {
        let mut scratch = vec![0; BLOCK];
        loop {
            match self.read(&mut scratch) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Stored {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(source) = &mut self.source else { return Ok(0) };
        let read = source.read(into)?;
        let known = usize::try_from(self.again).unwrap_or(usize::MAX).min(read);
        self.again = self.again.saturating_sub(known as u64);
        let new = into.get(known..read).unwrap_or_default();
        self.digest.update(new);
        self.bytes = self.bytes.saturating_add(new.len() as u64);
        Ok(read)
    }
}

/// Stored bytes, or what a decompressor makes of the layer below.
#[expect(clippy::large_enum_variant, reason = "one a capture, not one a packet")]
pub(crate) enum Layers {
    Stored(Stored),
    Gzip(Box<Inflating<MultiGzDecoder<Buffer<Self>>>>),
    Zstd(Box<Inflating<zstd::stream::read::Decoder<'static, Buffer<Self>>>>),
}

impl Layers {
    /// The file under all layers.
    pub(super) fn stored(&self) -> &Stored {
        match self {
            Self::Stored(stored) => stored,
            Self::Gzip(gzip) => gzip.decoder.get_ref().source().stored(),
            Self::Zstd(zstd) => zstd.decoder.get_ref().source().stored(),
        }
    }

    fn stored_mut(&mut self) -> &mut Stored {
        match self {
            Self::Stored(stored) => stored,
            Self::Gzip(gzip) => gzip.decoder.get_mut().source_mut().stored_mut(),
            Self::Zstd(zstd) => zstd.decoder.get_mut().source_mut().stored_mut(),
        }
    }

    /// Whether the file can be closed and taken up again: only without a decompressor's state.
    pub(super) const fn can_be_put_aside(&self) -> bool {
        matches!(self, Self::Stored(Stored { source: Some(_), .. }))
    }

    /// Whether it was closed for the time being.
    pub(super) const fn is_put_aside(&self) -> bool {
        matches!(self, Self::Stored(Stored { source: None, .. }))
    }

    /// Closes the file, to be read again from `position`.
    pub(super) fn put_aside(&mut self, position: u64) {
        let stored = self.stored_mut();
        stored.source = None;
        stored.again = stored.bytes.saturating_sub(position);
    }

    /// Goes on with `source`, which stands at the position given to [`Layers::put_aside`].
    pub(super) fn take_up(&mut self, source: Box<dyn Read + Send>) {
        self.stored_mut().source = Some(source);
    }

    /// Reads to the end of the file; its digest in hex and its length.
    pub(super) fn finish(mut self) -> io::Result<(String, u64)> {
        let stored = self.stored_mut();
        stored.drain()?;
        let digest = std::mem::replace(&mut stored.digest, Context::new(&SHA256)).finish();
        Ok((hex::encode(digest), stored.bytes))
    }
}

impl Read for Layers {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stored(stored) => stored.read(into),
            Self::Gzip(gzip) => {
                let read = gzip.decoder.read(into)?;
                gzip.made = bounded(gzip.made, read, gzip.decoder.get_ref())?;
                Ok(read)
            }
            Self::Zstd(zstd) => {
                let read = zstd.decoder.read(into)?;
                zstd.made = bounded(zstd.made, read, zstd.decoder.get_ref())?;
                Ok(read)
            }
        }
    }
}

/// A decompressor that stops at a bomb.
pub(crate) struct Inflating<D> {
    decoder: D,
    made: u64,
}

impl<D> Inflating<D> {
    const fn new(decoder: D) -> Self {
        Self { decoder, made: 0 }
    }
}

/// What was made in all, `read` bytes just now, unless it is out of proportion to what was taken.
fn bounded(made: u64, read: usize, taken: &Buffer<Layers>) -> io::Result<u64> {
    let made = made.saturating_add(read as u64);
    if made > taken.position().saturating_mul(MAX_EXPANSION).saturating_add(FREE_EXPANSION) {
        let what = format!("expands more than {MAX_EXPANSION} times, as no capture does");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(made)
}

/// What the first bytes of a layer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    Pcap,
    Pcapng,
    Gzip,
    Zstd,
}

impl Magic {
    /// By the first four bytes; gzip has two, RFC 1952 §2.3.1, the compression method being always 8.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match *head.first_chunk::<4>()? {
            [0xa1, 0xb2, 0xc3, 0xd4] | [0xd4, 0xc3, 0xb2, 0xa1] => Some(Self::Pcap),
            [0xa1, 0xb2, 0x3c, 0x4d] | [0x4d, 0x3c, 0xb2, 0xa1] => Some(Self::Pcap),
            [0xa1, 0xb2, 0xcd, 0x34] | [0x34, 0xcd, 0xb2, 0xa1] => Some(Self::Pcap),
            [0x0a, 0x0d, 0x0d, 0x0a] => Some(Self::Pcapng),
            [0x1f, 0x8b, 8, _] => Some(Self::Gzip),
            // RFC 8878 §3.1.1 and, before a first frame, skippable ones, §3.1.2.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Peels compression off `stored` until a capture's magic shows; `None` when none does.
pub(super) fn peel(stored: Stored, block: usize) -> io::Result<Option<(Magic, Buffer<Layers>)>> {
    let mut bytes = Buffer::new(Layers::Stored(stored), block);
    for _ in 0..=MAX_LAYERS {
        if !bytes.need(4)? {
            return Ok(None);
        }
        bytes = match Magic::of(bytes.available()) {
            None => return Ok(None),
            Some(Magic::Gzip) => Buffer::new(Layers::Gzip(Box::new(Inflating::new(MultiGzDecoder::new(bytes)))), block),
            Some(Magic::Zstd) => {
                let decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
                Buffer::new(Layers::Zstd(Box::new(Inflating::new(decoder))), block)
            }
            Some(magic) => return Ok(Some((magic, bytes))),
        };
    }
    Ok(None)
}

/// Bytes asked of a file at once.
pub(super) const BLOCK: usize = 256 * 1024;
/// Layers of compression peeled off; people compress what is compressed already, not more often.
const MAX_LAYERS: usize = 3;
/// DEFLATE cannot expand more (RFC 1951: 258 bytes for 2 bits); what does is made to.
const MAX_EXPANSION: u64 = 1_032;
/// Before that ratio is judged: small files of small packets all alike may compress better under zstd.
const FREE_EXPANSION: u64 = 64 << 20;
