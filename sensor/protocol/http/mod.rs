//! HTTP/1 on any port (RFC 9112): each request with the head and the size of its answer.
//!
//! Who asks and who answers is told by content. Requests and answers pair in order; bodies are passed over unseen.
//! What CONNECT or an upgrade opens is handed over to be probed anew. Not here: HTTP/2 (`http2/`).

mod body;
pub(super) mod content;
mod head;
mod winrm;

use self::body::{Body, Look, Step};
use self::head::{Fields, Found, MAX_HEAD, MAX_METHOD, RequestLine};
use super::{Input, Output, Parser, Probe, Progress, Protocol, ntlm};
use crate::base::wire::text;
use crate::base::{Reader, Timestamp};
use crate::event::{Direction, Event, Oddity, Request, Transport};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::VecDeque;

/// HTTP/1.
pub(super) static PROTOCOL: Protocol = Protocol {
    name: "http",
    transport: Transport::Tcp,
    ports: &[80, 8080, 8000, 8008, 8888, 3128, 5985, 81, 591],
    probe,
    new: || Box::new(Http::default()),
};

fn probe(_: Direction, data: &[u8]) -> Probe {
    let data = without_blank_lines(data);
    if data.is_empty() {
        return Probe::NeedMore;
    }
    if starts_like(data, VERSION) {
        return if data.len() >= VERSION.len() { Probe::Match } else { Probe::NeedMore };
    }
    let Some(space) = data.iter().take(MAX_METHOD.saturating_add(1)).position(|b| *b == b' ') else {
        let partial = data.len() <= MAX_METHOD && head::is_token(data);
        return if partial { Probe::NeedMore } else { Probe::Mismatch };
    };
    let Some((method, rest)) = data.split_at_checked(space) else { return Probe::Mismatch };
    if !head::is_token(method) {
        return Probe::Mismatch;
    }
    if let Some(end) = data.iter().position(|b| *b == b'\n') {
        let line = data.get(..end).unwrap_or_default();
        if line.starts_with(b"PRI * HTTP/2") {
            return Probe::Mismatch; // RFC 9113 §3.4 chose a line that looks like ours.
        }
        let good = RequestLine::parse(line).or_else(|| RequestLine::simple(line)).is_some();
        return if good { Probe::Match } else { Probe::Mismatch };
    }
    // A long target need not be waited for when what comes before it is plain.
    let target = rest.trim_ascii_start();
    let plain = target.starts_with(b"/") || target.starts_with(b"http://") || target.starts_with(b"https://");
    match plain && METHODS.contains(&method) {
        true => Probe::Match,
        false if data.len() < MAX_LINE_PROBED => Probe::NeedMore,
        false => Probe::Mismatch,
    }
}

/// RFC 9112 §2.2: empty lines before a request are to be ignored. A zero is the byte of a keep-alive probe (RFC 9293
/// §3.8.4) with which a flow was picked up in the middle.
fn without_blank_lines(data: &[u8]) -> &[u8] {
    let blank = data.iter().take_while(|b| matches!(b, b'\r' | b'\n' | 0)).count();
    data.get(blank..).unwrap_or_default()
}

/// Whether `data` and `word` agree as far as both go.
fn starts_like(data: &[u8], word: &[u8]) -> bool {
    data.iter().zip(word).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

#[derive(Default)]
struct Http {
    /// The side that asks, once known.
    client: Option<Direction>,
    asking: Place,
    answering: Place,
    /// Requests without their whole answer, oldest first.
    outstanding: VecDeque<Exchange>,
    /// Body of an answer whose request was not seen.
    orphan: u64,
    /// What is read of an answer's body.
    look: Look,
    /// What WS-Management's calls look like.
    rhythm: winrm::Rhythm,
}

/// Where a side is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// A head comes.
    #[default]
    Head,
    /// A body comes.
    Body(Body),
    /// After CONNECT: what comes depends on the answer.
    Held,
    /// After a gap: a head may start anywhere.
    Lost,
}

/// A request and as much of its answer as was seen.
struct Exchange {
    fact: Box<Request>,
    call: Option<winrm::Call>,
    /// The request was CONNECT.
    connect: bool,
    encoding: Option<Box<[u8]>>,
    /// The client waits for leave to send the body.
    expects_continue: bool,
    asked: bool,
    answered: bool,
}

impl Exchange {
    /// The head of its answer was seen and the body is not over; another answer's bytes are not its own.
    fn is_being_answered(&self) -> bool {
        self.fact.status.is_some() && !self.answered
    }
}

impl Http {
    /// The head of a request, or more of its body.
    fn ask(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        match self.asking {
            Place::Head => self.ask_head(input, out),
            Place::Held => Progress::Consumed(0),
            Place::Lost => {
                if probe(input.from, input.data) == Probe::Match {
                    self.asking = Place::Head;
                    return self.ask_head(input, out);
                }
                Progress::Consumed(input.data.len())
            }
            Place::Body(mut body) => {
                let Some(last) = self.outstanding.back_mut() else {
                    self.asking = Place::Head;
                    return self.ask_head(input, out);
                };
                // RFC 9110 §10.1.1: refused, the body is never sent and the next request may follow.
                let refused = last.expects_continue && last.answered && last.fact.request_body_len == 0;
                if refused && probe(input.from, input.data) == Probe::Match {
                    last.asked = true;
                    self.asking = Place::Head;
                    self.tell(out);
                    return self.ask_head(input, out);
                }
                let mut nothing = Look::default();
                let look = last.call.as_mut().map_or(&mut nothing, |call| &mut call.envelope);
                let step = body.step(input.data, look, &mut last.fact.request_body_len);
                self.asking = Place::Body(body);
                match step {
                    Step::Consumed(n) => Progress::Consumed(n),
                    Step::Finished(n) => {
                        last.asked = true;
                        self.asking = Place::Head;
                        self.tell(out);
                        Progress::Consumed(n)
                    }
                    Step::Broken => Progress::Malformed(Oddity::HttpMalformed),
                }
            }
        }
    }

    fn ask_head(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let blank = input.data.len().saturating_sub(without_blank_lines(input.data).len());
        if blank > 0 {
            return Progress::Consumed(blank);
        }
        let first = Reader::new(input.data).line(MAX_HEAD).unwrap_or_default();
        if let Some(line) = RequestLine::simple(first).filter(|_| RequestLine::parse(first).is_none()) {
            let fact = Box::new(request(line, &Fields::default(), input.ts));
            self.push(
                Exchange {
                    fact,
                    call: None,
                    connect: false,
                    encoding: None,
                    expects_continue: false,
                    asked: true,
                    answered: false,
                },
                out,
            );
            return Progress::Consumed(first.len());
        }
        let Found::Head(head) = head::find(input.data) else { return Progress::Consumed(0) };
        let Some(line) = RequestLine::parse(head.start) else { return Progress::Malformed(Oddity::HttpMalformed) };
        let fields = head.fields();
        observe_tokens(&fields, out);
        let connect = line.method == b"CONNECT";
        let mut exchange = Exchange {
            call: winrm::Call::new(line.method, line.target, !fields.auth.is_empty(), fields.content_type),
            connect,
            encoding: None,
            expects_continue: fields.expects_continue,
            asked: false,
            answered: false,
            fact: Box::new(request(line, &fields, input.ts)),
        };
        self.asking = match fields.content_length {
            _ if connect => Place::Held,
            _ if fields.chunked => Place::Body(Body::ChunkSize),
            Some(len @ 1..) => Place::Body(Body::Fixed(len)),
            _ => Place::Head,
        };
        exchange.asked = matches!(self.asking, Place::Head | Place::Held);
        self.push(exchange, out);
        Progress::Consumed(head.len)
    }

    fn push(&mut self, exchange: Exchange, out: &mut Output) {
        if self.outstanding.len() >= MAX_OUTSTANDING
            && let Some(oldest) = self.outstanding.pop_front()
        {
            out.weird(Oddity::TooManyOutstanding);
            tell(&oldest, &mut self.rhythm, out);
        }
        self.outstanding.push_back(exchange);
    }

    /// The head of an answer, or more of its body.
    fn answer(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        match self.answering {
            Place::Head | Place::Held => self.answer_head(input, out),
            Place::Lost => {
                if probe(input.from, input.data) == Probe::Match {
                    self.answering = Place::Head;
                    return self.answer_head(input, out);
                }
                Progress::Consumed(input.data.len())
            }
            Place::Body(mut body) => {
                let count = match self.outstanding.front_mut() {
                    Some(first) if first.is_being_answered() => &mut first.fact.response_body_len,
                    _ => &mut self.orphan,
                };
                let step = body.step(input.data, &mut self.look, count);
                self.answering = Place::Body(body);
                match step {
                    Step::Consumed(n) => Progress::Consumed(n),
                    Step::Finished(n) => {
                        self.answer_over(out);
                        Progress::Consumed(n)
                    }
                    Step::Broken => Progress::Malformed(Oddity::HttpMalformed),
                }
            }
        }
    }

    fn answer_head(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        let blank = input.data.len().saturating_sub(without_blank_lines(input.data).len());
        if blank > 0 {
            return Progress::Consumed(blank);
        }
        let Found::Head(head) = head::find(input.data) else { return Progress::Consumed(0) };
        let Some(status) = head::status(head.start) else { return Progress::Malformed(Oddity::HttpMalformed) };
        let fields = head.fields();
        observe_tokens(&fields, out);
        if status < 200 && status != SWITCHING {
            return Progress::Consumed(head.len); // Interim (RFC 9110 §15.2).
        }
        let first = self.outstanding.front_mut().filter(|first| !first.answered);
        let head_only = first.as_ref().is_some_and(|first| &*first.fact.method == "HEAD");
        let connect = first.as_ref().is_some_and(|first| first.connect);
        if let Some(first) = first {
            first.fact.status = Some(status);
            first.fact.content_type = fields.content_type.map(text);
            first.encoding = fields.content_encoding.map(Into::into);
        }
        if status == SWITCHING || (connect && (200..300).contains(&status)) {
            if let Some(first) = self.outstanding.front_mut() {
                first.asked = true;
            }
            self.answer_over(out);
            if fields.upgrade.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket")) {
                out.service("websocket");
                return Progress::Done;
            }
            return Progress::Handover(head.len);
        }
        if connect {
            self.asking = Place::Head; // Refused: it is still HTTP.
        }
        // RFC 9112 §6.3, in its order.
        let body = match fields.content_length {
            _ if head_only || matches!(status, 204 | 304) => Body::Fixed(0),
            _ if fields.chunked => Body::ChunkSize,
            _ if fields.coded => Body::UntilClose,
            Some(len) => Body::Fixed(len),
            None => Body::UntilClose,
        };
        self.look = Look::at(content::ENOUGH);
        self.orphan = 0;
        if body == Body::Fixed(0) {
            self.answer_over(out);
        } else {
            self.answering = Place::Body(body);
        }
        Progress::Consumed(head.len)
    }

    /// The answer to the oldest request is complete, or as complete as it will be.
    fn answer_over(&mut self, out: &mut Output) {
        self.answering = Place::Head;
        let look = std::mem::take(&mut self.look);
        if let Some(first) = self.outstanding.front_mut().filter(|first| first.is_being_answered()) {
            first.fact.content = content::look(&look.bytes, first.encoding.as_deref());
            first.answered = true;
        }
        self.tell(out);
    }

    /// Tells what is complete, in order.
    fn tell(&mut self, out: &mut Output) {
        while self.outstanding.front().is_some_and(|first| first.asked && first.answered) {
            if let Some(first) = self.outstanding.pop_front() {
                tell(&first, &mut self.rhythm, out);
            }
        }
    }

    /// Which side asks; `None` as long as the bytes could be either's.
    fn client(&mut self, from: Direction, data: &[u8]) -> Option<Direction> {
        if self.client.is_none() {
            let data = without_blank_lines(data);
            let answers = starts_like(data, VERSION);
            if answers && data.len() < VERSION.len() {
                return None;
            }
            self.client = Some(if answers { from.flip() } else { from });
        }
        self.client
    }
}

impl Parser for Http {
    fn held(&self) -> usize {
        let texts = |fact: &Request| {
            let optional = [&fact.host, &fact.user_agent].map(|text| text.as_deref().map_or(0, str::len));
            optional.into_iter().fold(fact.uri.len(), usize::saturating_add)
        };
        let exchange = |exchange: &Exchange| {
            let envelope = exchange.call.as_ref().map_or(0, |call| call.envelope.bytes.capacity());
            size_of::<Request>().saturating_add(texts(&exchange.fact)).saturating_add(envelope)
        };
        self.outstanding.iter().map(exchange).fold(self.look.bytes.capacity(), usize::saturating_add)
    }

    fn parse(&mut self, input: Input<'_>, out: &mut Output) -> Progress {
        match self.client(input.from, input.data) {
            None => Progress::Consumed(0),
            Some(client) if client == input.from => self.ask(input, out),
            Some(_) => self.answer(input, out),
        }
    }

    fn gap(&mut self, from: Direction, missing: u64, out: &mut Output) -> Progress {
        let Some(client) = self.client else { return Progress::Consumed(0) };
        if from == client {
            let Some(last) = self.outstanding.back_mut() else {
                self.asking = Place::Lost;
                return Progress::Consumed(0);
            };
            let step = match &mut self.asking {
                Place::Body(body) => body.pass_over(missing, &mut last.fact.request_body_len),
                _ => Step::Broken,
            };
            if step != Step::Consumed(0) {
                last.asked = true;
                self.asking = if step == Step::Broken { Place::Lost } else { Place::Head };
                self.tell(out);
            }
            return Progress::Consumed(0);
        }
        let count = match self.outstanding.front_mut() {
            Some(first) if first.is_being_answered() => &mut first.fact.response_body_len,
            _ => &mut self.orphan,
        };
        match &mut self.answering {
            Place::Body(body) => match body.pass_over(missing, count) {
                Step::Consumed(_) => {}
                Step::Finished(_) => self.answer_over(out),
                Step::Broken => {
                    self.answer_over(out);
                    self.answering = Place::Lost;
                }
            },
            _ => self.answering = Place::Lost,
        }
        Progress::Consumed(0)
    }

    fn unfinished(&mut self, from: Direction, missing: u64) {
        let is_client = self.client == Some(from);
        let fact = match is_client {
            true => self.outstanding.back_mut().map(|last| &mut last.fact.request_body_len),
            false => {
                self.outstanding.front_mut().filter(|f| f.is_being_answered()).map(|f| &mut f.fact.response_body_len)
            }
        };
        if let Some(len) = fact {
            *len = len.saturating_sub(missing);
        }
    }

    fn finish(&mut self, out: &mut Output) {
        if matches!(self.answering, Place::Body(_)) {
            self.answer_over(out);
        }
        for exchange in std::mem::take(&mut self.outstanding) {
            tell(&exchange, &mut self.rhythm, out);
        }
    }
}

fn request(line: RequestLine<'_>, fields: &Fields<'_>, started: Timestamp) -> Request {
    let authority = authority(line);
    Request {
        started,
        method: text(line.method),
        host: fields.host.or(authority).map(text),
        uri: text(line.target),
        user_agent: fields.user_agent.map(text),
        status: None,
        request_body_len: 0,
        response_body_len: 0,
        content_type: None,
        content: None,
        proxied: authority.is_some(),
    }
}

/// Whom a proxy is to reach (RFC 9112 §3.2.2–3.2.3).
fn authority(line: RequestLine<'_>) -> Option<&[u8]> {
    if line.method == b"CONNECT" {
        return Some(line.target);
    }
    let scheme = line.target.iter().take(MAX_SCHEME).position(|b| *b == b':')?;
    let rest = line.target.get(scheme..)?.strip_prefix(b"://")?;
    let name = rest.split(|b| matches!(b, b'/' | b'?' | b'#')).next()?;
    let name = name.rsplit(|b| *b == b'@').next()?;
    (!name.is_empty()).then_some(name)
}

fn tell(exchange: &Exchange, rhythm: &mut winrm::Rhythm, out: &mut Output) {
    let fact = &exchange.fact;
    out.push(Event::Request(fact.clone()));
    if let Some(call) = &exchange.call {
        let execution =
            call.execution(fact.uri.as_bytes(), fact.status, [fact.request_body_len, fact.response_body_len], rhythm);
        out.push(Event::Execution(Box::new(execution)));
    }
}

/// Hands NTLM and Kerberos tokens on (RFC 4559 §4.2).
fn observe_tokens(fields: &Fields<'_>, out: &mut Output) {
    for value in &fields.auth {
        let Some((scheme, token)) = value.iter().position(|b| *b == b' ').and_then(|at| value.split_at_checked(at))
        else {
            continue;
        };
        if TOKEN_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            // What is no base64 is no token, whatever it calls itself.
            if let Ok(token) = STANDARD.decode(token.trim_ascii()) {
                ntlm::observe(&token, out);
            }
        }
    }
}

/// 101: the protocol after this head is the one that was asked for.
const SWITCHING: u16 = 101;
/// Clients pipeline a handful; a hostile one must not fill memory.
const MAX_OUTSTANDING: usize = 64;
/// A request line that is not plainly HTTP is waited for up to here.
const MAX_LINE_PROBED: usize = 2048;
/// `https` and its relatives.
const MAX_SCHEME: usize = 16;
const VERSION: &[u8] = b"HTTP/1.";
const TOKEN_SCHEMES: &[&[u8]] = &[b"NTLM", b"Negotiate", b"Kerberos"];
/// Methods that are plain from their name and target.
const METHODS: &[&[u8]] = &[b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND"];
const _: () = assert!(MAX_HEAD <= super::MAX_PENDING, "the stream must hold a whole head");

#[cfg(test)]
mod tests;
