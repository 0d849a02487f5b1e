//! WS-Management over HTTP: remote PowerShell, `winrs`, WMI (MS-WSMV; ATT&CK T1021.006). One act for each POST.
//!
//! In clear the SOAP action names the act. Bodies are mostly encrypted (MS-WSMV §2.2.9.1); then the status tells an act
//! that was let in from a leg of its authentication, and sizes and order tell some acts from others ([`Rhythm`]). Such
//! names say so: `create (by shape)`. What the shape does not tell has no name and counts as running something.

use super::body::Look;
use crate::base::wire::text;
use crate::event::{Act, Channel, Execution};

/// A POST to a WS-Management endpoint.
#[derive(Debug)]
pub(super) struct Call {
    /// The request came with credentials.
    pub(super) authorized: bool,
    /// Its body is encrypted.
    pub(super) sealed: bool,
    /// The beginning of the envelope.
    pub(super) envelope: Look,
}

impl Call {
    /// `None` when the request is none.
    pub(super) fn new(method: &[u8], target: &[u8], authorized: bool, content_type: Option<&[u8]>) -> Option<Self> {
        let is_call = method == b"POST" && path(target).to_ascii_lowercase().starts_with(b"/wsman");
        let is = |kind: &[u8], word: &[u8]| kind.get(..word.len()).is_some_and(|k| k.eq_ignore_ascii_case(word));
        let sealed = content_type.is_some_and(|kind| SEALED.iter().any(|word| is(kind, word)));
        is_call.then(|| Self { authorized, sealed, envelope: Look::at(ENVELOPE) })
    }

    /// What the call amounts to, once the answer is known.
    pub(super) fn execution(
        &self,
        target: &[u8],
        status: Option<u16>,
        lens: [u64; 2],
        rhythm: &mut Rhythm,
    ) -> Execution {
        let [body_len, _] = lens;
        let action = action(&self.envelope.bytes);
        let forwarding = path(target).to_ascii_lowercase().starts_with(b"/wsman/subscription");
        let let_in = match status {
            Some(status) => (200..300).contains(&status),
            None => self.authorized && body_len > 0,
        };
        let shape =
            (self.sealed && let_in && body_len > 0 && !forwarding).then(|| rhythm.shape(status, lens)).flatten();
        let act = match (action, shape) {
            // Nothing in it: a leg of the authentication, even when that ends well.
            _ if forwarding || !let_in || body_len == 0 => Act::Administer,
            (Some(action), _) => meaning(action),
            (None, Some((_, act))) => act,
            (None, None) => Act::Execute,
        };
        let operation = action.map(|uri| text(last_words(uri))).or_else(|| shape.map(|(name, _)| name.into()));
        Execution {
            channel: Channel::Winrm,
            act,
            interface: None,
            opnum: None,
            operation,
            endpoint: Some(text(path(target))),
            clsid: None,
            technique: (!forwarding).then_some("T1021.006"),
        }
    }
}

/// What the encrypted calls of one connection look like, in order.
///
/// Opening a shell and starting a pipeline carry kilobytes of XML. Asking for output is a long poll that is repeated to
/// the octet, as only its message id changes, and its answer carries the output. Deleting is answered with nothing.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    lens: Vec<u64>,
    opened: bool,
}

impl Rhythm {
    /// The name and the meaning of a call whose bodies have these lengths, where they tell.
    fn shape(&mut self, status: Option<u16>, [up, down]: [u64; 2]) -> Option<(&'static str, Act)> {
        if status == Some(204) {
            return Some(("delete (by shape)", Act::Administer));
        }
        let repeated = self.lens.contains(&up);
        if !repeated && self.lens.len() < MAX_LENS {
            self.lens.push(up);
        }
        if up >= LARGE {
            let first = !std::mem::replace(&mut self.opened, true);
            return Some((if first { "create (by shape)" } else { "command (by shape)" }, Act::Execute));
        }
        let polls = repeated || down >= up.saturating_mul(4);
        polls.then_some(("receive (by shape)", Act::Administer))
    }
}

/// The path of a target in origin or absolute form.
fn path(target: &[u8]) -> &[u8] {
    let target = target.split(|b| *b == b'?').next().unwrap_or_default();
    match target.windows(3).position(|w| w == b"://").and_then(|at| target.get(at.saturating_add(3)..)) {
        Some(rest) => rest.iter().position(|b| *b == b'/').and_then(|at| rest.get(at..)).unwrap_or(b"/"),
        None => target,
    }
}

/// The text of the envelope's `Action` element, whatever its prefix.
fn action(envelope: &[u8]) -> Option<&[u8]> {
    let at = envelope.windows(ACTION.len()).position(|w| w == ACTION)?;
    let rest = envelope.get(at.saturating_add(ACTION.len())..)?;
    // The element may carry attributes: `mustUnderstand`.
    let start = rest.iter().position(|b| *b == b'>')?.saturating_add(1);
    let value = rest.get(start..)?;
    let end = value.iter().position(|b| *b == b'<')?;
    value.get(..end).map(<[u8]>::trim_ascii).filter(|uri| !uri.is_empty())
}

/// What comes after the last two slashes: `transfer/Create`, `shell/Command`, `Win32_Process/Create`.
fn last_words(uri: &[u8]) -> &[u8] {
    let mut slashes = uri.iter().enumerate().rev().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
    slashes.next();
    slashes.next().and_then(|at| uri.get(at.saturating_add(1)..)).unwrap_or(uri)
}

fn meaning(action: &[u8]) -> Act {
    match last_words(action) {
        // A shell is opened, a command run in it or fed.
        b"transfer/Create" | b"shell/Command" | b"shell/Send" => Act::Execute,
        b"transfer/Put" => Act::Prepare,
        // Asking for output, ending things, reading state.
        b"shell/Receive" | b"shell/Signal" | b"shell/Disconnect" | b"shell/Reconnect" | b"shell/Connect" => {
            Act::Administer
        }
        words if words.starts_with(b"transfer/") || words.starts_with(b"enumeration/") => Act::Administer,
        words if words.starts_with(b"eventing/") || words.starts_with(b"wsman/") => Act::Administer,
        // A method of a WMI class.
        _ => Act::Execute,
    }
}

/// MS-WSMV §2.2.9.1: encryption by the authentication's session, in one part or several.
const SEALED: &[&[u8]] = &[b"multipart/encrypted", b"multipart/x-multi-encrypted"];
/// Polls take two kilobytes with their wrapping, shells and pipelines of PowerShell five.
const LARGE: u64 = 3_000;
/// Lengths of one connection's calls that are remembered.
const MAX_LENS: usize = 32;
/// The header of an envelope comes first and fits.
const ENVELOPE: usize = 4096;
/// `<a:Action s:mustUnderstand="true">`, `<wsa:Action>`.
const ACTION: &[u8] = b":Action";

#[cfg(test)]
mod tests {
    use super::*;

    fn call(target: &str, authorized: bool, status: Option<u16>, envelope: &str) -> Option<(Act, Option<Box<str>>)> {
        let mut call = Call::new(b"POST", target.as_bytes(), authorized, None)?;
        call.envelope.bytes = envelope.as_bytes().to_vec();
        let lens = [envelope.len() as u64, 0];
        let execution = call.execution(target.as_bytes(), status, lens, &mut Rhythm::default());
        Some((execution.act, execution.operation))
    }

    #[test]
    fn encrypted_calls_are_told_by_their_shape_where_it_tells() {
        let kind = Some(&b"multipart/encrypted;protocol=\"application/HTTP-Kerberos-session-encrypted\""[..]);
        let mut rhythm = Rhythm::default();
        for (what, status, lens, expected) in [
            ("the proof", 200, [0, 0], (Act::Administer, None)),
            ("a shell is opened", 200, [5_700, 2_500], (Act::Execute, Some("create (by shape)"))),
            ("the first poll, of little output", 200, [1_970, 2_600], (Act::Execute, None)),
            ("the next one", 200, [1_970, 1_400], (Act::Administer, Some("receive (by shape)"))),
            ("a pipeline", 200, [5_000, 1_300], (Act::Execute, Some("command (by shape)"))),
            ("a poll with much output", 200, [2_020, 47_000], (Act::Administer, Some("receive (by shape)"))),
            ("a poll that timed out", 500, [1_970, 1_700], (Act::Administer, None)),
            ("the shell is closed", 204, [1_020, 0], (Act::Administer, Some("delete (by shape)"))),
        ] {
            let call = Call::new(b"POST", b"/wsman?PSVersion=5.1", true, kind).unwrap();
            let told = call.execution(b"/wsman", Some(status), lens, &mut rhythm);
            assert_eq!((told.act, told.operation.as_deref()), expected, "{what}");
        }
    }

    #[test]
    fn acts_are_told_from_the_legs_of_their_authentication() {
        let create = "<s:Envelope><s:Header><a:Action s:mustUnderstand=\"true\">\
            http://schemas.xmlsoap.org/ws/2004/09/transfer/Create</a:Action>";
        let receive = "<wsa:Action>http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Receive</wsa:Action>";
        let process =
            "<a:Action>http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/Win32_Process/Create</a:Action>";
        let encrypted = "--Encrypted Boundary\r\n";
        let some = |text: &str| Some(Box::from(text));
        for (what, target, authorized, status, envelope, expected) in [
            ("a shell opened", "/wsman", true, Some(200), create, Some((Act::Execute, some("transfer/Create")))),
            ("output asked for", "/wsman", true, Some(200), receive, Some((Act::Administer, some("shell/Receive")))),
            (
                "a process created",
                "/WSMAN?PSVersion=5",
                true,
                Some(200),
                process,
                Some((Act::Execute, some("Win32_Process/Create"))),
            ),
            ("encrypted and let in", "/wsman", false, Some(200), encrypted, Some((Act::Execute, None))),
            ("a challenge", "/wsman", false, Some(401), "", Some((Act::Administer, None))),
            ("refused", "/wsman", true, Some(401), create, Some((Act::Administer, some("transfer/Create")))),
            ("no answer seen", "/wsman", true, None, encrypted, Some((Act::Execute, None))),
            ("through a proxy", "http://a.example:5985/wsman", true, Some(200), encrypted, Some((Act::Execute, None))),
            (
                "events forwarded",
                "/wsman/SubscriptionManager/WEC",
                true,
                Some(200),
                encrypted,
                Some((Act::Administer, None)),
            ),
            ("another path", "/w", true, Some(200), create, None),
        ] {
            assert_eq!(call(target, authorized, status, envelope), expected, "{what}");
        }
        assert!(Call::new(b"GET", b"/wsman", true, None).is_none());
    }
}
