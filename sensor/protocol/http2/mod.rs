//! HTTP/2 in clear, by prior knowledge or after an upgrade from HTTP/1.1 (RFC 9113 §3.2–3.4): each request with the head
//! and the size of its answer. Most HTTP/2 is within TLS and not seen here; what is in clear is gRPC within a site,
//! proxies' back sides, and tools that hide from readers of HTTP/1.
//!
//! Frames are passed over unseen save heads and the first bytes of an answer. A gap ends the reading, as heads depend on
//! all heads before them. What it does not do: priorities, flow control, what CONNECT carries; an upgraded request is
//! told by HTTP/1 with status 101, so its answer on stream 1 is nobody's.

mod fields;
#[cfg(test)]
mod tests;

use self::fields::Fields;
use super::http::content;
use super::{Input, MAX_PENDING, Output, Parser, Probe, Progress, Protocol};
use crate::base::wire::text;
use crate::base::{Reader, Timestamp};
use crate::event::{Direction, Event, Oddity, Request, Transport};
use std::collections::VecDeque;

/// HTTP/2.
pub(super) static PROTOCOL: Protocol =
    Protocol { name: "http2", transport: Transport::Tcp, ports: &[], probe, new: || Box::new(Http2::default()) };

/// The client begins with the preface, the server with its settings (RFC 9113 §3.4), whoever opened the connection.
fn probe(_: Direction, data: &[u8]) -> Probe {
    if data.starts_with(PREFACE) || is_settings(data) {
        return Probe::Match;
    }
    let could = PREFACE.starts_with(data) || (data.len() < HEADER && data.iter().take(2).all(|b| *b == 0));
    if could && !data.is_empty() || data.is_empty() { Probe::NeedMore } else { Probe::Mismatch }
}

/// A SETTINGS frame that is no acknowledgement, with a few settings of six octets each.
fn is_settings(data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    let head = (r.u24(), r.u8(), r.u8(), r.u32());
    matches!(head, (Some(len), Some(SETTINGS), Some(0), Some(0)) if len % 6 == 0 && len <= MAX_SETTINGS)
}

#[derive(Default)]
struct Http2 {
    client: Option<Direction>,
    asking: Side,
    answering: Side,
    /// Requests that are not over, oldest first.
    streams: VecDeque<Stream>,
}

/// One side's way of speaking.
#[derive(Default)]
struct Side {
    /// The preface is behind us, or none is to come.
    begun: bool,
    /// `None` once a head could not be read.
    fields: Option<Fields>,
    lost: bool,
    /// A head whose last frame has not come.
    head: Option<Head>,
    /// The stream whose data were passed over last, with what of it was.
    passing: u32,
}

struct Head {
    stream: u32,
    block: Vec<u8>,
    ends_stream: bool,
    promised: bool,
}

struct Stream {
    id: u32,
    fact: Box<Request>,
    encoding: Option<Box<[u8]>>,
    look: Vec<u8>,
    asked: bool,
    answered: bool,
}

/// A frame's header (RFC 9113 §4.1).
#[derive(Clone, Copy)]
struct Frame {
    len: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let (len, kind, flags, stream) = (r.u24()?, r.u8()?, r.u8()?, r.u32()?);
        Some(Self { len: usize::try_from(len).ok()?, kind, flags, stream: stream & 0x7fff_ffff })
    }

    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

impl Parser for Http2 {
    fn held(&self) -> usize {
        let blocks =
            [&self.asking, &self.answering].map(|side| side.head.as_ref().map_or(0, |head| head.block.capacity()));
        let stream = |stream: &Stream| {
            let fact = &stream.fact;
            let texts = [&fact.host, &fact.user_agent].map(|text| text.as_deref().map_or(0, str::len));
            let whole = texts.into_iter().fold(fact.uri.len(), usize::saturating_add);
            whole.saturating_add(stream.look.capacity()).saturating_add(size_of::<Request>())
        };
        let tables = [&self.asking, &self.answering].map(|side| side.fields.as_ref().map_or(0, Fields::held));
        blocks.into_iter().chain(tables).chain(self.streams.iter().map(stream)).fold(0, usize::saturating_add)
    }

    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let Some(client) = self.client(input.from, input.data) else { return Progress::Consumed(0) };
        let asks = client == input.from;
        let side = if asks { &mut self.asking } else { &mut self.answering };
        if !std::mem::replace(&mut side.begun, true) && asks {
            if input.data.starts_with(PREFACE) {
                return Progress::Consumed(PREFACE.len());
            }
            side.begun = false;
            return if PREFACE.starts_with(input.data) { Progress::Consumed(0) } else { Progress::Done };
        }
        let mut r = Reader::new(input.data);
        let Some(frame) = Frame::read(&mut r) else { return Progress::Consumed(0) };
        let whole = HEADER.saturating_add(frame.len);
        match frame.kind {
            DATA => self.data(asks, frame, r.rest(), out),
            HEADERS | CONTINUATION | PUSH_PROMISE => {
                if whole > MAX_PENDING {
                    return Progress::Malformed(Oddity::MessageTooLong);
                }
                let Some(payload) = r.take(frame.len) else { return Progress::Consumed(0) };
                match self.fragment(asks, frame, payload, input.ts, out) {
                    Some(()) => Progress::Consumed(whole),
                    None => Progress::Malformed(Oddity::HttpMalformed),
                }
            }
            RST_STREAM => {
                self.over(frame.stream, out);
                Progress::Consumed(whole)
            }
            // SETTINGS, PING, GOAWAY, WINDOW_UPDATE, PRIORITY, and what later documents add (§5.5).
            _ => Progress::Consumed(whole),
        }
    }

    fn unfinished(&mut self, from: Direction, missing: u64) {
        let asks = self.client == Some(from);
        let id = if asks { self.asking.passing } else { self.answering.passing };
        if let Some(stream) = self.streams.iter_mut().find(|s| s.id == id) {
            let len = if asks { &mut stream.fact.request_body_len } else { &mut stream.fact.response_body_len };
            *len = len.saturating_sub(missing);
        }
    }

    fn finish(&mut self, out: &mut Output) {
        for stream in std::mem::take(&mut self.streams) {
            tell(stream, out);
        }
    }
}

impl Http2 {
    fn client(&mut self, from: Direction, data: &[u8]) -> Option<Direction> {
        if self.client.is_none() {
            if is_settings(data) {
                self.client = Some(from.flip());
            } else if data.starts_with(PREFACE) {
                self.client = Some(from);
            }
        }
        self.client
    }

    /// Counts a body's octets; of an answer's first ones a copy is kept for the look at its content.
    fn data(&mut self, asks: bool, frame: Frame, rest: &[u8], out: &mut Output) -> Progress {
        let whole = HEADER.saturating_add(frame.len);
        let mut r = Reader::new(rest);
        let mut body = frame.len;
        if frame.has(PADDED) && frame.len > 0 {
            let Some(padding) = r.u8() else { return Progress::Consumed(0) };
            body = body.saturating_sub(usize::from(padding).saturating_add(1));
        }
        let side = if asks { &mut self.asking } else { &mut self.answering };
        side.passing = frame.stream;
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == frame.stream) else {
            return Progress::Consumed(whole);
        };
        if asks {
            stream.fact.request_body_len = stream.fact.request_body_len.saturating_add(body as u64);
        } else {
            let wanted = content::ENOUGH.saturating_sub(stream.look.len()).min(body);
            let Some(look) = r.take(wanted) else { return Progress::Consumed(0) };
            stream.look.extend_from_slice(look);
            stream.fact.response_body_len = stream.fact.response_body_len.saturating_add(body as u64);
        }
        if frame.has(END_STREAM) {
            self.ends(asks, frame.stream, out);
        }
        Progress::Consumed(whole)
    }

    /// A frame of a head. `None` when frames of a head do not follow one another, or one is not well formed.
    fn fragment(&mut self, asks: bool, frame: Frame, payload: &[u8], ts: Timestamp, out: &mut Output) -> Option<()> {
        let side = if asks { &mut self.asking } else { &mut self.answering };
        let mut r = Reader::new(payload);
        let mut head = match frame.kind {
            CONTINUATION => side.head.take().filter(|head| head.stream == frame.stream)?,
            _ if side.head.is_some() => return None, // RFC 9113 §4.3: nothing comes between.
            _ => {
                let padding = if frame.has(PADDED) { usize::from(r.u8()?) } else { 0 };
                let promised = frame.kind == PUSH_PROMISE;
                match (promised, frame.has(PRIORITY)) {
                    (true, _) => r.skip(4)?, // The promised stream.
                    (false, true) => r.skip(5)?,
                    _ => {}
                }
                r = r.sub(r.remaining().checked_sub(padding)?)?;
                let ends_stream = !promised && frame.has(END_STREAM);
                Head { stream: frame.stream, block: Vec::new(), ends_stream, promised }
            }
        };
        if head.block.len().saturating_add(r.remaining()) > MAX_BLOCK {
            return None;
        }
        head.block.extend_from_slice(r.rest());
        if !frame.has(END_HEADERS) {
            side.head = Some(head);
            return Some(());
        }
        self.head(asks, &head, ts, out);
        Some(())
    }

    /// A whole head: a request's, an answer's, an interim answer's, trailers.
    fn head(&mut self, asks: bool, head: &Head, ts: Timestamp, out: &mut Output) {
        let side = if asks { &mut self.asking } else { &mut self.answering };
        if side.lost {
            return;
        }
        let mut said = Said::default();
        let fields = side.fields.get_or_insert_with(Fields::new);
        if !fields.read(&head.block, |name, value| said.note(name, value)) {
            (side.lost, side.fields) = (true, None);
            out.weird(Oddity::HttpMalformed);
            return;
        }
        let known = self.streams.iter_mut().find(|stream| stream.id == head.stream);
        match known {
            _ if head.promised => return, // What the server pushes nobody asked for.
            Some(stream) if !asks => stream.answer(said),
            None if asks && said.method.is_some() => self.push(head.stream, said, ts, out),
            _ => {} // Trailers, or an answer whose question was not seen.
        }
        if head.ends_stream {
            self.ends(asks, head.stream, out);
        }
    }

    fn push(&mut self, id: u32, said: Said, started: Timestamp, out: &mut Output) {
        if self.streams.len() >= MAX_STREAMS
            && let Some(oldest) = self.streams.pop_front()
        {
            out.weird(Oddity::TooManyOutstanding);
            tell(oldest, out);
        }
        let connect = said.method.as_deref() == Some("CONNECT");
        let fact = Request {
            started,
            uri: said.path.or_else(|| said.authority.clone()).unwrap_or_else(|| "*".into()),
            method: said.method.unwrap_or_default(),
            host: said.authority.or(said.host),
            user_agent: said.user_agent,
            status: None,
            request_body_len: 0,
            response_body_len: 0,
            content_type: None,
            content: None,
            proxied: connect,
        };
        let (look, asked, answered) = (Vec::new(), false, false);
        self.streams.push_back(Stream { id, fact: Box::new(fact), encoding: None, look, asked, answered });
    }

    /// One side has said all it wants to say on a stream.
    fn ends(&mut self, asks: bool, id: u32, out: &mut Output) {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else { return };
        *(if asks { &mut stream.asked } else { &mut stream.answered }) = true;
        if stream.answered {
            // An answer may come before the whole request (RFC 9113 §8.1); nothing of interest follows it.
            self.over(id, out);
        }
    }

    fn over(&mut self, id: u32, out: &mut Output) {
        if let Some(stream) = self.streams.iter().position(|s| s.id == id).and_then(|at| self.streams.remove(at)) {
            tell(stream, out);
        }
    }
}

impl Stream {
    fn answer(&mut self, said: Said) {
        if self.fact.status.is_none() && said.status.is_some_and(|status| status >= 200) {
            self.fact.status = said.status;
            self.fact.content_type = said.content_type;
            self.encoding = said.encoding;
        }
    }
}

fn tell(mut stream: Stream, out: &mut Output) {
    stream.fact.content = content::look(&stream.look, stream.encoding.as_deref());
    out.push(Event::Request(stream.fact));
}

/// The fields that matter here. The first of a name counts.
#[derive(Default)]
struct Said {
    method: Option<Box<str>>,
    path: Option<Box<str>>,
    authority: Option<Box<str>>,
    host: Option<Box<str>>,
    user_agent: Option<Box<str>>,
    status: Option<u16>,
    content_type: Option<Box<str>>,
    encoding: Option<Box<[u8]>>,
}

impl Said {
    /// RFC 9113 §8.2: names are in lower case.
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let place = match name {
            b":method" => &mut self.method,
            b":path" => &mut self.path,
            b":authority" => &mut self.authority,
            b"host" => &mut self.host,
            b"user-agent" => &mut self.user_agent,
            b"content-type" => &mut self.content_type,
            b":status" => {
                let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                self.status = self.status.or(number);
                return;
            }
            b"content-encoding" => {
                self.encoding.get_or_insert_with(|| value.into());
                return;
            }
            _ => return,
        };
        if !value.is_empty() {
            place.get_or_insert_with(|| text(value));
        }
    }
}

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// RFC 9113 §4.1: octets of a frame's header.
const HEADER: usize = 9;
/// RFC 9113 §6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x01;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
/// Seven settings are registered, a few more are in use.
const MAX_SETTINGS: u32 = 120;
/// A head of several frames; as long as an HTTP/1 head may be.
const MAX_BLOCK: usize = 65_536;
/// Servers allow 100 to 128 streams at once (RFC 9113 §6.5.2 recommends no less than 100).
const MAX_STREAMS: usize = 128;
