//! SMB 3.0.2 over TCP (MS-SMB2): negotiate, log on, connect to shares, files, named pipes.

use super::ntlm::{self, utf16};
use super::tcp::{Side, Tcp};

/// STATUS_MORE_PROCESSING_REQUIRED.
const MORE: u32 = 0xc000_0016;

/// Who logs on, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Logon<'a> {
    /// User and workstation, as administration by address does it.
    Ntlm(&'a str, &'a str),
    /// A ticket for the server.
    Kerberos(&'a str),
}

/// One session on one connection.
pub(crate) struct Smb<'t, 'w> {
    /// The connection.
    pub(crate) tcp: &'t mut Tcp<'w>,
    message: u64,
    session: u64,
    tree: u32,
    trees: u32,
}

impl<'t, 'w> Smb<'t, 'w> {
    /// Negotiation and session setup with `server`.
    pub(crate) fn open(tcp: &'t mut Tcp<'w>, logon: Logon<'_>, server: &str) -> Self {
        let mut smb = Self { tcp, message: 0, session: 0, tree: 0, trees: 0 };
        smb.negotiate();
        match logon {
            Logon::Ntlm(user, workstation) => {
                let first = ntlm::first_token(&ntlm::negotiate());
                let challenge = ntlm::challenge(&mut smb.tcp.wire.random, server);
                let session = smb.tcp.wire.random.next() >> 16 | 0x4000_0000_0000;
                smb.setup(&first, (MORE, session), &ntlm::answer_token(1, &challenge));
                let proof = ntlm::authenticate(&mut smb.tcp.wire.random, user, workstation, server);
                smb.setup(&ntlm::next_token(&proof), (0, session), &ntlm::answer_token(0, &[]));
            }
            Logon::Kerberos(service) => {
                let ticket = super::directory::ap_request(&mut smb.tcp.wire.random, &["cifs", service]);
                let session = smb.tcp.wire.random.next() >> 16 | 0x4000_0000_0000;
                smb.setup(&ntlm::kerberos_token(&ticket), (0, session), &ntlm::answer_token(0, &[]));
            }
        }
        smb
    }

    fn negotiate(&mut self) {
        let mut ask = numbers(&[(36, 2), (4, 2), (1, 2), (0, 2), (0x7f, 4)]);
        ask.extend(self.tcp.wire.random.bytes(16));
        ask.extend_from_slice(&[0; 8]);
        ask.extend(numbers(&[(0x202, 2), (0x210, 2), (0x300, 2), (0x302, 2)]));
        let hint = ntlm::hint();
        let mut answer = numbers(&[(65, 2), (1, 2), (0x302, 2), (0, 2)]);
        answer.extend(self.tcp.wire.random.bytes(16));
        answer.extend(numbers(&[(0x2f, 4), (0x10_0000, 4), (0x10_0000, 4), (0x10_0000, 4)]));
        answer.extend(numbers(&[(0x01dc_aaaa_0000_0000, 8), (0, 8), (128, 2), (hint.len() as u64, 2), (0, 4)]));
        answer.extend(hint);
        self.exchange(0, &ask, 0, &answer);
    }

    fn setup(&mut self, token: &[u8], (status, session): (u32, u64), reply: &[u8]) {
        let mut ask = numbers(&[(25, 2), (0, 1), (1, 1), (1, 4), (0, 4), (88, 2), (token.len() as u64, 2), (0, 8)]);
        ask.extend_from_slice(token);
        let mut answer = numbers(&[(9, 2), (0, 2), (72, 2), (reply.len() as u64, 2)]);
        answer.extend_from_slice(reply);
        let asked = self.request(1, &ask);
        self.tcp.orig(&asked);
        self.session = session;
        let answered = self.response(1, status, &answer);
        self.tcp.resp(&answered);
    }

    /// Connects to `\\server\share`; a pipe share when it is `IPC$`.
    pub(crate) fn connect(&mut self, server: &str, share: &str) -> &mut Self {
        let path = utf16(&format!(r"\\{server}\{share}"));
        let mut ask = numbers(&[(9, 2), (0, 2), (72, 2), (path.len() as u64, 2)]);
        ask.extend(path);
        let kind = if share == "IPC$" { 2 } else { 1 };
        let answer = numbers(&[(16, 2), (kind, 1), (0, 1), (0x30, 4), (0, 4), (0x001f_01ff, 4)]);
        let asked = self.request(3, &ask);
        self.trees += 4;
        self.tree = self.trees + 1;
        self.tcp.orig(&asked);
        let answered = self.response(3, 0, &answer);
        self.tcp.resp(&answered);
        self
    }

    /// Opens a file or a pipe; `length` is the file's size.
    pub(crate) fn open_file(&mut self, name: &str, access: u32, length: u64) -> [u8; 16] {
        // Opens what exists, creates what does not, when it is to be written.
        let disposition = if access & 0x4000_0000 != 0 || access == 0x0012_019f { 3 } else { 1 };
        let path = utf16(name);
        let mut ask = numbers(&[(57, 2), (0, 1), (0, 1), (2, 4), (0, 8), (0, 8), (u64::from(access), 4), (0x80, 4)]);
        ask.extend(numbers(&[(7, 4), (disposition, 4), (0x40, 4), (120, 2), (path.len() as u64, 2), (0, 4), (0, 4)]));
        ask.extend(path);
        let id: [u8; 16] = self.tcp.wire.random.array();
        let mut answer = numbers(&[(89, 2), (0, 1), (0, 1), (1, 4)]);
        answer.extend(numbers(&[(0x01dc_aaaa_0000_0000, 8); 4]));
        answer.extend(numbers(&[(length.next_multiple_of(4096), 8), (length, 8), (0x80, 4), (0, 4)]));
        answer.extend_from_slice(&id);
        answer.extend(numbers(&[(0, 4), (0, 4)]));
        self.exchange(5, &ask, 0, &answer);
        id
    }

    /// Writes data.
    pub(crate) fn write(&mut self, id: &[u8; 16], at: u64, data: &[u8]) {
        let mut ask = numbers(&[(49, 2), (112, 2), (data.len() as u64, 4), (at, 8)]);
        ask.extend_from_slice(id);
        ask.extend(numbers(&[(0, 4), (0, 4), (0, 2), (0, 2), (0, 4)]));
        ask.extend_from_slice(data);
        let answer = numbers(&[(17, 2), (0, 2), (data.len() as u64, 4), (0, 4), (0, 2), (0, 2)]);
        self.exchange(9, &ask, 0, &answer);
    }

    /// Reads data.
    pub(crate) fn read(&mut self, id: &[u8; 16], at: u64, data: &[u8]) {
        let mut ask = numbers(&[(49, 2), (0x50, 1), (0, 1), (data.len().max(1024) as u64, 4), (at, 8)]);
        ask.extend_from_slice(id);
        ask.extend(numbers(&[(0, 4), (0, 4), (0, 4), (0, 2), (0, 2), (0, 1)]));
        let mut answer = numbers(&[(17, 2), (80, 1), (0, 1), (data.len() as u64, 4), (0, 4), (0, 4)]);
        answer.extend_from_slice(data);
        self.exchange(8, &ask, 0, &answer);
    }

    /// A message into a pipe and its answer (FSCTL_PIPE_TRANSCEIVE).
    pub(crate) fn transact(&mut self, id: &[u8; 16], data: &[u8], reply: &[u8]) {
        const TRANSCEIVE: u64 = 0x0011_c017;
        let mut ask = numbers(&[(57, 2), (0, 2), (TRANSCEIVE, 4)]);
        ask.extend_from_slice(id);
        let length = data.len() as u64;
        ask.extend(numbers(&[(120, 4), (length, 4), (0, 4), (0, 4), (0, 4), (1024, 4), (1, 4), (0, 4)]));
        ask.extend_from_slice(data);
        let mut answer = numbers(&[(49, 2), (0, 2), (TRANSCEIVE, 4)]);
        answer.extend_from_slice(id);
        answer.extend(numbers(&[(112, 4), (0, 4), (112, 4), (reply.len() as u64, 4), (0, 4), (0, 4)]));
        answer.extend_from_slice(reply);
        self.exchange(11, &ask, 0, &answer);
    }

    /// An encrypted request and its answer, of so many bytes within (MS-SMB2 §2.2.41).
    pub(crate) fn sealed(&mut self, up: usize, down: usize) {
        let session = self.session;
        let mut message = |length: usize| {
            let random = &mut self.tcp.wire.random;
            let mut out = ((52 + length) as u32).to_be_bytes().to_vec();
            out.extend_from_slice(b"\xfdSMB");
            out.extend(random.bytes(16)); // Signature.
            out.extend(random.bytes(11));
            out.extend_from_slice(&[0; 5]); // The nonce of AES-CCM has eleven bytes.
            out.extend(numbers(&[(length as u64, 4), (0, 2), (1, 2), (session, 8)]));
            out.extend(random.bytes(length));
            out
        };
        let (ask, answer) = (message(up), message(down));
        self.tcp.orig(&ask).resp(&answer);
    }

    /// Closes a file or a pipe.
    pub(crate) fn close_file(&mut self, id: &[u8; 16]) {
        let ask = [numbers(&[(24, 2), (0, 2), (0, 4)]), id.to_vec()].concat();
        let answer = [numbers(&[(60, 2), (0, 2), (0, 4)]), vec![0; 52]].concat();
        self.exchange(6, &ask, 0, &answer);
    }

    /// Disconnects, logs off, closes the connection.
    pub(crate) fn close(mut self) -> u64 {
        for command in [4, 2] {
            self.exchange(command, &numbers(&[(4, 2), (0, 2)]), 0, &numbers(&[(4, 2), (0, 2)]));
        }
        self.tcp.close(Side::Orig)
    }

    /// A request and its answer.
    fn exchange(&mut self, command: u16, ask: &[u8], status: u32, answer: &[u8]) {
        let (asked, answered) = (self.request(command, ask), self.response(command, status, answer));
        self.tcp.orig(&asked).resp(&answered);
    }

    fn request(&mut self, command: u16, body: &[u8]) -> Vec<u8> {
        self.framed(command, 0, 0, body)
    }

    /// The answer to the newest request; the next one has a new number.
    fn response(&mut self, command: u16, status: u32, body: &[u8]) -> Vec<u8> {
        let out = self.framed(command, status, 1, body);
        self.message += 1;
        out
    }

    /// Length, header (§2.2.1.2), body.
    fn framed(&self, command: u16, status: u32, flags: u64, body: &[u8]) -> Vec<u8> {
        let mut out = ((64 + body.len()) as u32).to_be_bytes().to_vec();
        out.extend_from_slice(b"\xfeSMB");
        out.extend(numbers(&[(64, 2), (1, 2), (u64::from(status), 4), (u64::from(command), 2), (33, 2), (flags, 4)]));
        out.extend(numbers(&[(0, 4), (self.message, 8), (0xfeff, 4), (u64::from(self.tree), 4), (self.session, 8)]));
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(body);
        out
    }
}

/// Little-endian integers: value and width in bytes.
pub(crate) fn numbers(fields: &[(u64, usize)]) -> Vec<u8> {
    fields.iter().flat_map(|(value, width)| value.to_le_bytes().into_iter().take(*width)).collect()
}
