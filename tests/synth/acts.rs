//! Acts on a remote machine, one function a door: service, task, WMI, DCOM, WinRM, a file on the administrative share.

use super::dcerpc::{self, ACTIVATOR, DISPATCH, EPM, Interface, SVCCTL, Sealed, TASKS, WMI, WMI_LOGIN, bind, request};
use super::http;
use super::net::{Host, MS, Nanos, SECOND, Wire};
use super::ntlm::{self, utf16};
use super::smb::{Logon, Smb, numbers};
use super::tcp::{Side, Tcp};
use std::net::IpAddr;

/// Who acts on whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    /// The machine that acts and its name.
    pub(crate) from: (&'a Host, &'a str),
    /// The machine acted on and its name.
    pub(crate) on: (&'a Host, &'a str),
    /// With whose rights.
    pub(crate) user: &'a str,
}

impl Act<'_> {
    fn names(&self) -> (&str, &str, &str) {
        (self.user, self.from.1, self.on.1)
    }
}

/// A service is created, started and deleted through `\pipe\svcctl`.
pub(crate) fn service(wire: &mut Wire, at: Nanos, act: Act<'_>, name: &str, command: &str) -> Nanos {
    let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, 445));
    tcp.open();
    let address = act.on.0.ip.to_string();
    let mut smb = Smb::open(&mut tcp, Logon::Ntlm(act.user, act.from.1), act.on.1);
    smb.connect(&address, "IPC$");
    let pipe = smb.open_file("svcctl", 0x0012_019f, 0);
    let (ask, answer) = bind(SVCCTL, r"\PIPE\svcctl");
    smb.write(&pipe, 0, &ask);
    smb.read(&pipe, 0, &answer);
    let (manager, handle): ([u8; 20], [u8; 20]) = (handle(&mut smb), handle(&mut smb));
    let done = numbers(&[(0, 4)]);
    let open = [pointer(), text(&address), numbers(&[(0, 4), (0x000f_003f, 4)])].concat();
    let create = [
        manager.to_vec(),
        text(name),
        pointer(),
        text(name),
        // All access, own process, started on demand, errors ignored.
        numbers(&[(0x000f_01ff, 4), (0x10, 4), (3, 4), (0, 4)]),
        text(command),
        numbers(&[(0, 4), (0, 4), (0, 4), (0, 4), (0, 4), (0, 4), (0, 4)]),
    ]
    .concat();
    let calls: [(u16, Vec<u8>, Vec<u8>); 6] = [
        (15, open, [&manager[..], &done].concat()),
        (12, create, [&done[..], &handle, &done].concat()),
        (19, [&handle[..], &numbers(&[(0, 4), (0, 4)])].concat(), done.clone()),
        (2, handle.to_vec(), done.clone()),
        (0, handle.to_vec(), [&[0; 20][..], &done].concat()),
        (0, manager.to_vec(), [&[0; 20][..], &done].concat()),
    ];
    for (n, (opnum, stub, reply)) in calls.into_iter().enumerate() {
        let call = 2 + n as u32;
        smb.transact(&pipe, &request(call, 0, opnum, &stub), &dcerpc::response(call, 0, &reply));
        if opnum == 19 {
            smb.tcp.wait(600 * MS);
        }
    }
    smb.close_file(&pipe);
    smb.close()
}

/// A file is copied to `ADMIN$`.
pub(crate) fn copy(wire: &mut Wire, at: Nanos, act: Act<'_>, path: &str, data: &[u8]) -> Nanos {
    let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, 445));
    tcp.open();
    let mut smb = Smb::open(&mut tcp, Logon::Ntlm(act.user, act.from.1), act.on.1);
    smb.connect(&act.on.0.ip.to_string(), "ADMIN$");
    let file = smb.open_file(path, 0x4012_0196, 0);
    for (n, piece) in data.chunks(32_768).enumerate() {
        smb.write(&file, n as u64 * 32_768, piece);
    }
    smb.close_file(&file);
    smb.close()
}

/// A task is registered, run and deleted over TCP, sealed.
pub(crate) fn task(wire: &mut Wire, at: Nanos, act: Act<'_>) -> Nanos {
    let port = 49_668;
    let at = map_endpoint(wire, at, act, TASKS, port);
    let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, port));
    tcp.open();
    let mut rpc = Sealed::bind(&mut tcp, TASKS, port, act.names());
    rpc.call(1, None, 2_900, 120).wait(200 * MS).call(12, None, 220, 48).wait(2 * SECOND).call(13, None, 96, 16);
    rpc.close()
}

/// A process is created by WMI: activation, logon, `Win32_Process.Create`.
pub(crate) fn wmi(wire: &mut Wire, at: Nanos, act: Act<'_>) -> Nanos {
    let at = activate(wire, at, act);
    let port = 49_670;
    let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, port));
    tcp.open();
    let objects: [[u8; 16]; 2] = [tcp.wire.random.array(), tcp.wire.random.array()];
    let mut rpc = Sealed::bind(&mut tcp, WMI_LOGIN, port, act.names());
    rpc.call(6, Some(objects[0]), 192, 640).alter(WMI);
    // GetObject of the class, then ExecMethod.
    rpc.call(6, Some(objects[1]), 160, 2_400).call(24, Some(objects[1]), 1_500, 512);
    rpc.wait(300 * MS);
    rpc.close()
}

/// An automation object is made to run something: activation, `GetIDsOfNames`, `Invoke`.
pub(crate) fn dcom(wire: &mut Wire, at: Nanos, act: Act<'_>) -> Nanos {
    let at = activate(wire, at, act);
    let port = 49_671;
    let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, port));
    tcp.open();
    let object: [u8; 16] = tcp.wire.random.array();
    let mut rpc = Sealed::bind(&mut tcp, DISPATCH, port, act.names());
    rpc.call(5, Some(object), 176, 80).call(6, Some(object), 304, 240).call(5, Some(object), 176, 80);
    rpc.call(6, Some(object), 720, 160).wait(200 * MS);
    rpc.close()
}

/// One command in a shell over WS-Management: HTTP, NTLM, sealed bodies.
pub(crate) fn winrm(wire: &mut Wire, at: Nanos, act: Act<'_>) -> Nanos {
    winrm_on(wire, at, act, 5985)
}

/// The same on a port of the administrator's choice.
pub(crate) fn winrm_on(wire: &mut Wire, at: Nanos, act: Act<'_>, port: u16) -> Nanos {
    let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, port));
    let host = format!("{}:{port}", act.on.0.ip);
    tcp.open();
    let token = |bytes: &[u8]| format!("Negotiate {}", base64(bytes));
    let negotiate = token(&ntlm::first_token(&ntlm::negotiate()));
    let challenge = ntlm::challenge(&mut tcp.wire.random, act.on.1);
    let proof = ntlm::authenticate(&mut tcp.wire.random, act.user, act.from.1, act.on.1);
    let unauthorized = |token: &str| {
        let headers = [("Server", "Microsoft-HTTPAPI/2.0"), ("WWW-Authenticate", token)];
        http::response("401", &headers, &[])
    };
    tcp.orig(&wsman(&host, Some(&negotiate), &[]));
    tcp.resp(&unauthorized(&token(&ntlm::answer_token(1, &challenge))));
    // Create, Command, Receive twice, Signal, Delete; the first brings the proof.
    let proof = token(&ntlm::next_token(&proof));
    for (n, (up, down, pause)) in
        [(1_500, 700, 5), (900, 400, 20), (700, 600, 700), (700, 900, 10), (650, 400, 10), (600, 350, 5)]
            .into_iter()
            .enumerate()
    {
        let (ask, answer) = (multipart(&mut tcp, up), multipart(&mut tcp, down));
        tcp.orig(&wsman(&host, (n == 0).then_some(proof.as_str()), &ask));
        tcp.wait(pause * MS);
        let headers = [("Server", "Microsoft-HTTPAPI/2.0"), ("Content-Type", ENCRYPTED)];
        tcp.resp(&http::response("200", &headers, &answer));
    }
    tcp.close(Side::Orig)
}

/// A shell of PowerShell: the proof alone, a shell, a pipeline, polls for output that repeat to the octet, the end.
pub(crate) fn winrm_shell(wire: &mut Wire, at: Nanos, act: Act<'_>, port: u16) -> Nanos {
    let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, port));
    let host = format!("{}:{port}", act.on.0.ip);
    tcp.open();
    let ticket = super::directory::ap_request(&mut tcp.wire.random, &["HTTP", "pc-0021.corp.example"]);
    let proof = format!("Kerberos {}", base64(&ntlm::kerberos_token(&ticket)));
    tcp.orig(&wsman(&host, Some(&proof), &[]));
    tcp.resp(&http::response("200", &[("Server", "Microsoft-HTTPAPI/2.0")], &[]));
    for (up, down) in [(5_500, 2_200), (4_700, 1_000), (1_750, 2_400), (1_750, 1_100), (1_750, 9_800), (1_600, 900)] {
        let (ask, answer) = (multipart(&mut tcp, up), multipart(&mut tcp, down));
        tcp.orig(&wsman(&host, None, &ask)).wait(30 * MS);
        let headers = [("Server", "Microsoft-HTTPAPI/2.0"), ("Content-Type", ENCRYPTED)];
        tcp.resp(&http::response("200", &headers, &answer));
    }
    let last = multipart(&mut tcp, 800);
    tcp.orig(&wsman(&host, None, &last)).resp(b"HTTP/1.1 204 \r\nServer: Microsoft-HTTPAPI/2.0\r\n\r\n");
    tcp.close(Side::Orig)
}

/// MS-WSMV §2.2.9.1.1.2.
const ENCRYPTED: &str =
    "multipart/encrypted;protocol=\"application/HTTP-SPNEGO-session-encrypted\";boundary=\"Encrypted Boundary\"";

fn wsman(host: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut headers = vec![("Connection", "Keep-Alive"), ("User-Agent", "Microsoft WinRM Client")];
    headers.push(("Content-Type", if body.is_empty() { "application/soap+xml;charset=UTF-8" } else { ENCRYPTED }));
    headers.extend(token.map(|t| ("Authorization", t)));
    http::request("POST", "/wsman?PSVersion=5.1.19041.5607", host, &headers, body)
}

fn multipart(tcp: &mut Tcp<'_>, length: usize) -> Vec<u8> {
    let head = format!(
        "--Encrypted Boundary\r\nContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\
         OriginalContent: type=application/soap+xml;charset=UTF-8;Length={length}\r\n\
         --Encrypted Boundary\r\nContent-Type: application/octet-stream\r\n"
    );
    // Length of the signature, signature, ciphertext.
    let sealed =
        [&16_u32.to_le_bytes()[..], &ntlm::signature(&mut tcp.wire.random), &tcp.wire.random.bytes(length)].concat();
    [head.as_bytes(), &sealed, b"--Encrypted Boundary--\r\n"].concat()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// RemoteCreateInstance on port 135, sealed.
fn activate(wire: &mut Wire, at: Nanos, act: Act<'_>) -> Nanos {
    let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, 135));
    tcp.open();
    let mut rpc = Sealed::bind(&mut tcp, ACTIVATOR, 135, act.names());
    rpc.call(4, None, 880, 1_120);
    rpc.close() + MS
}

/// Asks the endpoint mapper where an interface listens (`ept_map`).
pub(crate) fn map_endpoint(wire: &mut Wire, at: Nanos, act: Act<'_>, interface: Interface, port: u16) -> Nanos {
    let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, 135));
    let (ask, answer) = bind(EPM, "135");
    tcp.open().orig(&ask).resp(&answer);
    let IpAddr::V4(ip) = act.on.0.ip else { panic!("an IPv4 address") };
    let wanted = tower(interface, 135, [0; 4]);
    let found = tower(interface, port, ip.octets());
    let entry = [0; 20];
    let stub =
        [numbers(&[(1, 4)]), vec![0; 16], numbers(&[(2, 4)]), wanted, entry.to_vec(), numbers(&[(4, 4)])].concat();
    let reply =
        [entry.to_vec(), numbers(&[(1, 4), (4, 4), (0, 4), (1, 4), (3, 4)]), found, numbers(&[(0, 4)])].concat();
    tcp.orig(&request(2, 0, 3, &stub)).resp(&dcerpc::response(2, 0, &reply));
    tcp.close(Side::Orig) + MS
}

/// A protocol tower (C706 appendix L): interface, NDR, RPC, TCP port, address.
fn tower(interface: Interface, port: u16, ip: [u8; 4]) -> Vec<u8> {
    let syntax = |text: &str, version: u16| [&[0x0d][..], &dcerpc::uuid(text), &version.to_le_bytes()].concat();
    let floors: [(Vec<u8>, Vec<u8>); 5] = [
        (syntax(interface.0, interface.1), vec![0, 0]),
        (syntax("8a885d04-1ceb-11c9-9fe8-08002b104860", 2), vec![0, 0]),
        (vec![0x0b], vec![0, 0]),
        (vec![0x07], port.to_be_bytes().to_vec()),
        (vec![0x09], ip.to_vec()),
    ];
    let mut out = numbers(&[(5, 2)]);
    for (left, right) in floors {
        out.extend(numbers(&[(left.len() as u64, 2)]));
        out.extend(left);
        out.extend(numbers(&[(right.len() as u64, 2)]));
        out.extend(right);
    }
    let length = out.len() as u64;
    out.resize(out.len().next_multiple_of(4), 0);
    [numbers(&[(length, 4), (length, 4)]), out].concat()
}

/// A policy handle of the responder's.
fn handle(smb: &mut Smb<'_, '_>) -> [u8; 20] {
    let mut out: [u8; 20] = smb.tcp.wire.random.array();
    out[..4].fill(0);
    out
}

/// A pointer that is not null (NDR, C706 §14.3.10).
fn pointer() -> Vec<u8> {
    numbers(&[(0x0002_0000, 4)])
}

/// A conformant varying string with its zero, padded.
fn text(value: &str) -> Vec<u8> {
    let mut units = utf16(value);
    units.extend_from_slice(&[0, 0]);
    let count = units.len() as u64 / 2;
    let mut out = numbers(&[(count, 4), (0, 4), (count, 4)]);
    out.extend(units);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}
