//! HTTP/2 frames (RFC 9113), heads compressed with Huffman's code and the dynamic table (RFC 7541).

use httlib_hpack::Encoder;

/// RFC 9113 §3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// SETTINGS of a side: 100 streams, a window of a megabyte.
pub(crate) const SETTINGS: &[u8] = &[0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100, 0, 4, 0, 16, 0, 0];
/// Their acknowledgement.
pub(crate) const SETTINGS_SEEN: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];

/// The stream or the head ends here.
const END_STREAM: u8 = 1;
const END_HEAD: u8 = 4;

/// One side of a connection.
pub(crate) struct Speaker(Encoder<'static>);

impl Speaker {
    pub(crate) fn new() -> Self {
        Self(Encoder::default())
    }

    /// A head, in frames of at most `limit` octets; the last one of the stream when nothing follows.
    pub(crate) fn head(&mut self, stream: u32, fields: &[(&str, &str)], more: bool, limit: usize) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in fields {
            let flags = Encoder::HUFFMAN_NAME | Encoder::HUFFMAN_VALUE | Encoder::WITH_INDEXING | Encoder::BEST_FORMAT;
            let field = (name.as_bytes().to_vec(), value.as_bytes().to_vec(), flags);
            self.0.encode(field, &mut block).expect("a field of a few octets");
        }
        let end = if more { 0 } else { END_STREAM };
        let pieces: Vec<_> = block.chunks(limit).collect();
        let mut out = Vec::new();
        for (n, piece) in pieces.iter().enumerate() {
            let last = if n + 1 == pieces.len() { END_HEAD } else { 0 };
            let (kind, flags) = if n == 0 { (1, last | end) } else { (9, last) };
            out.extend(frame(kind, flags, stream, piece));
        }
        out
    }
}

/// The last data of a stream.
pub(crate) fn data(stream: u32, body: &[u8]) -> Vec<u8> {
    frame(0, END_STREAM, stream, body)
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}
