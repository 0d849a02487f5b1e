//! Vectors made for these tests, a line a field; layouts from C706 §12.6.4.

use super::*;
use crate::base::Timestamp;
use crate::event::Event;
use proptest::prelude::*;

/// Feeds a parser as a flow would: keeps what it does not consume, skips what it asks to skip.
pub(in crate::protocol) fn drive(parser: &mut dyn Parser, said: &[(Direction, &[u8])]) -> Output {
    let mut out = Output::default();
    let (mut pending, mut skip) = ([Vec::new(), Vec::new()], [0, 0]);
    for (from, bytes) in said {
        let side = usize::from(*from == Direction::Resp);
        let passed = bytes.len().min(skip[side]);
        skip[side] -= passed;
        pending[side].extend_from_slice(&bytes[passed..]);
        while !pending[side].is_empty() {
            let input = Input { from: *from, ts: Timestamp(0), data: &pending[side] };
            match parser.parse(input, &mut out) {
                Progress::Consumed(0) => break,
                Progress::Consumed(n) => {
                    let here = n.min(pending[side].len());
                    skip[side] += n - here;
                    pending[side].drain(..here);
                }
                Progress::Malformed(oddity) => {
                    out.weird(oddity);
                    return out;
                }
                _ => return out,
            }
            assert!(pending[side].len() <= crate::protocol::MAX_PENDING, "buffers beyond its budget");
        }
    }
    parser.finish(&mut out);
    out
}

/// Facts as short text, services at the end.
pub(in crate::protocol) fn told(out: &Output) -> Vec<String> {
    let text = |o: &Option<Box<str>>| o.as_deref().unwrap_or("-").to_owned();
    let line = |event: &Event| match event {
        Event::Rpc(r) => format!("rpc {} {} {}", text(&r.operation), r.opnum, text(&r.endpoint)),
        Event::Execution(e) => {
            format!("{} {} {} {}", e.channel.name(), e.act.name(), text(&e.operation), e.technique.unwrap_or("-"))
        }
        Event::Share(s) => format!("share {} {}", s.path, s.share_type.unwrap_or("-")),
        Event::File(f) => format!("{} {} {}", f.action.name(), f.path, f.bytes.unwrap_or(0)),
        Event::Weird(w) => format!("weird {}", w.oddity.name()),
        other => format!("{other:?}"),
    };
    out.events.iter().map(line).collect()
}

/// Wire form, little-endian.
pub(super) fn wire(uuid: &str) -> [u8; 16] {
    let Uuid([a, b, c, d, e, f, g, h, tail @ ..]) = Uuid::parse(uuid).unwrap();
    let mut wire = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
    wire[8..].copy_from_slice(&tail);
    wire
}

use uuid::Uuid;

/// A PDU with its header before `body` and an optional verifier behind it.
pub(in crate::protocol) fn pdu(kind: u8, flags: u8, body: &[u8], token: &[u8]) -> Vec<u8> {
    let mut bytes = vec![5, 0, kind, flags]; // Version, type, flags.
    bytes.extend([0x10, 0, 0, 0]); // Little-endian, ASCII, IEEE.
    let verifier = if token.is_empty() { 0 } else { 8 + token.len() };
    bytes.extend(u16::try_from(16 + body.len() + verifier).unwrap().to_le_bytes());
    bytes.extend(u16::try_from(token.len()).unwrap().to_le_bytes());
    bytes.extend(7_u32.to_le_bytes()); // Call.
    bytes.extend(body);
    if !token.is_empty() {
        bytes.extend([10, 6, 0, 0, 0, 0, 0, 0]); // NTLM, privacy.
        bytes.extend(token);
    }
    bytes
}

/// A bind (11) or alter-context (14) of contexts.
pub(in crate::protocol) fn bind(kind: u8, contexts: &[(u16, &str)]) -> Vec<u8> {
    let mut body = vec![0xd0, 0x16, 0xd0, 0x16, 0, 0, 0, 0]; // Fragment sizes, association group.
    body.extend([u8::try_from(contexts.len()).unwrap(), 0, 0, 0]);
    for (id, interface) in contexts {
        body.extend(id.to_le_bytes());
        body.extend([1, 0]); // One transfer syntax.
        body.extend(wire(interface));
        body.extend([2, 0, 0, 0]); // Version.
        body.extend(wire("8a885d04-1ceb-11c9-9fe8-08002b104860")); // NDR
        body.extend([2, 0, 0, 0]);
    }
    pdu(kind, 3, &body, &[])
}

/// A request, first and last fragment.
pub(in crate::protocol) fn request(context: u16, opnum: u16, stub: &[u8]) -> Vec<u8> {
    fragment(3, context, opnum, stub)
}

fn fragment(flags: u8, context: u16, opnum: u16, stub: &[u8]) -> Vec<u8> {
    let mut body = 24_u32.to_le_bytes().to_vec(); // Allocation hint.
    body.extend(context.to_le_bytes());
    body.extend(opnum.to_le_bytes());
    if flags & 0x80 != 0 {
        body.extend([9; 16]); // Object.
    }
    body.extend(stub);
    pdu(0, flags, &body, &[])
}

pub(in crate::protocol) const SVCCTL: &str = "367abb81-9844-35f1-ad32-98f038001003";
const WBEM: &str = "9556dc99-828c-11cf-a37e-00aa003240c7";

fn tcp(said: &[(Direction, &[u8])]) -> Vec<String> {
    told(&drive(&mut Tcp::default(), said))
}

#[test]
fn calls_are_told_by_the_interface_their_context_was_bound_to() {
    let big = {
        // The same in network order: header, then a bind of context 1 to svcctl, then StartServiceW on it.
        let mut bytes = vec![5, 0, 11, 3, 0, 0, 0, 0, 0, 72, 0, 0, 0, 0, 0, 1];
        bytes.extend([0x16, 0xd0, 0x16, 0xd0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0]);
        bytes.extend(Uuid::parse(SVCCTL).unwrap().0);
        bytes.extend([0; 24]);
        bytes.extend([5, 0, 0, 3, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 19]);
        bytes
    };
    let scm = bind(11, &[(0, SVCCTL)]);
    for (what, said, expected) in [
        (
            "opening and starting a service",
            vec![scm.clone(), request(0, 15, b"host"), request(0, 19, b"handle")],
            vec![
                "rpc OpenSCManagerW 15 -",
                "svcctl administer OpenSCManagerW -",
                "rpc StartServiceW 19 -",
                "svcctl execute StartServiceW T1569.002",
            ],
        ),
        ("network byte order", vec![big], vec!["rpc StartServiceW 19 -", "svcctl execute StartServiceW T1569.002"]),
        (
            "a context altered later",
            vec![bind(11, &[(0, SVCCTL)]), bind(14, &[(1, WBEM)]), request(1, 24, &[])],
            vec!["rpc ExecMethod 24 -", "wmi execute ExecMethod T1047"],
        ),
        ("the bind was missed", vec![request(0, 12, &[])], vec!["rpc - 12 -"]),
        (
            "an object identifier before the stub",
            vec![bind(11, &[(0, WBEM)]), fragment(0x83, 0, 20, &[0; 9])],
            vec!["rpc ExecQuery 20 -", "wmi administer ExecQuery T1047"],
        ),
        (
            "three fragments are one call",
            vec![scm.clone(), fragment(1, 0, 12, &[0; 99]), fragment(0, 0, 12, &[0; 99]), fragment(2, 0, 12, &[0; 9])],
            vec!["rpc CreateServiceW 12 -", "svcctl prepare CreateServiceW T1569.002"],
        ),
        (
            "a query repeated is told once as administration",
            vec![bind(11, &[(0, WBEM)]), request(0, 20, &[]), request(0, 20, &[])],
            vec!["rpc ExecQuery 20 -", "wmi administer ExecQuery T1047", "rpc ExecQuery 20 -"],
        ),
        ("not DCE-RPC", vec![b"GET / HTTP/1.1\r\nHost: example\r\n\r\n".to_vec()], vec![]),
        (
            "out of step for a while",
            vec![scm.clone(), vec![0xee; 40], request(0, 19, &[])],
            vec!["rpc StartServiceW 19 -", "svcctl execute StartServiceW T1569.002"],
        ),
        (
            "out of step again and again",
            [[0xee; 40].to_vec(), request(0, 1, &[])].concat().repeat(20).chunks(64).map(<[u8]>::to_vec).collect(),
            [vec!["rpc - 1 -"; 16], vec!["weird dcerpc_malformed"]].concat(),
        ),
    ] {
        let said: Vec<_> = said.iter().map(|bytes| (Direction::Orig, &**bytes)).collect();
        assert_eq!(tcp(&said), expected, "{what}");
    }
}

#[test]
fn the_mapper_names_the_interface_of_a_flow_whose_bind_was_not_seen() {
    let tower = mapper::tests::tower_to(wire(SVCCTL), 49_700);
    let answer = pdu(2, 3, &[&[0; 8][..], &[0; 20], &1_u32.to_le_bytes(), &[0; 16], &tower, &[0; 8]].concat(), &[]);
    let asked = [bind(11, &[(0, mapper::INTERFACE)]), request(0, mapper::MAP, &[0; 100])].concat();
    let out = drive(&mut Tcp::default(), &[(Direction::Orig, &asked), (Direction::Resp, &answer)]);
    let [promise] = out.promises[..] else { panic!("{:?}", out.promises) };
    assert_eq!((promise.side, promise.port), (Direction::Resp, 49_700));
    // An answer to no question promises nothing.
    assert!(drive(&mut Tcp::default(), &[(Direction::Resp, &answer)]).promises.is_empty());
    for (what, said, expected) in [
        (
            "picked up at a call",
            request(0, 12, &[]),
            vec!["rpc CreateServiceW 12 -", "svcctl prepare CreateServiceW T1569.002"],
        ),
        (
            "picked up within a call",
            [&[9; 40][..], &request(0, 12, &[])].concat(),
            vec!["rpc CreateServiceW 12 -", "svcctl prepare CreateServiceW T1569.002"],
        ),
        (
            "bound to something else",
            [bind(11, &[(0, WBEM)]), request(0, 20, &[])].concat(),
            vec!["rpc ExecQuery 20 -", "wmi administer ExecQuery T1047"],
        ),
    ] {
        let mut parser = Tcp::default();
        parser.expect(promise.what);
        let told = told(&drive(&mut parser, &[(Direction::Orig, &said)]));
        assert_eq!(told, expected, "{what}");
    }
}

#[test]
fn a_service_named_like_psexec_is_told_as_that() {
    for (what, name, expected) in [
        ("PsExec", "PSEXESVC", "psexec prepare CreateServiceW T1569.002"),
        ("a service like any other", "BackupAgent", "svcctl prepare CreateServiceW T1569.002"),
    ] {
        let count = u32::try_from(name.len() + 1).unwrap().to_le_bytes();
        let mut stub = vec![0; 20]; // Handle of the service manager.
        stub.extend([count, [0; 4], count].concat());
        stub.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        let said = [bind(11, &[(0, SVCCTL)]), request(0, 12, &stub)];
        let said: Vec<_> = said.iter().map(|bytes| (Direction::Orig, &**bytes)).collect();
        assert_eq!(tcp(&said), ["rpc CreateServiceW 12 -", expected], "{what}");
    }
}

#[test]
fn sealed_calls_keep_their_operation() {
    let mut body = 40_u32.to_le_bytes().to_vec();
    body.extend([0, 0, 25, 0]); // Context 0, ExecMethodAsync.
    body.extend([0xa5; 40]); // Sealed stub.
    let call = pdu(0, 3, &body, &[0x77; 16]);
    let told = tcp(&[(Direction::Orig, &bind(11, &[(0, WBEM)])), (Direction::Orig, &call)]);
    assert_eq!(told, ["rpc ExecMethodAsync 25 -", "wmi execute ExecMethodAsync T1047"]);
}

#[test]
fn probing_wants_a_whole_header_and_takes_no_other() {
    let request = request(0, 0, &[]);
    for (what, data, expected) in [
        ("a request", &*request, Probe::Match),
        ("the start of one", &request[..9], Probe::NeedMore),
        ("SOCKS 5", &[5, 1, 0], Probe::NeedMore),
        ("SOCKS 5 with a user name", &[5, 2, 0, 2], Probe::Mismatch),
        (
            "SOCKS 5 after its greeting",
            &[5, 1, 0, 3, 11, 101, 120, 97, 109, 112, 108, 101, 46, 99, 111, 109],
            Probe::Mismatch,
        ),
        ("HTTP", b"GET / HTTP/1.1\r\n", Probe::Mismatch),
        ("zeros", &[0; 32], Probe::Mismatch),
    ] {
        assert_eq!(probe(Direction::Orig, data), expected, "{what}");
    }
}

#[test]
fn reading_goes_on_at_the_next_pdu_after_a_gap() {
    let mut tcp = Tcp::default();
    drive(&mut tcp, &[(Direction::Orig, &bind(11, &[(0, SVCCTL)]))]);
    tcp.gap(Direction::Orig, 500, &mut Output::default());
    let mut rest = vec![5, 0, 0, 5, 77, 0, 3]; // The end of something.
    rest.extend([0xee; 100]);
    rest.extend(request(0, 19, &[]));
    assert_eq!(
        told(&drive(&mut tcp, &[(Direction::Orig, &rest)])),
        ["rpc StartServiceW 19 -", "svcctl execute StartServiceW T1569.002"]
    );
}

#[test]
fn pieces_of_a_pipe_give_the_same_calls() {
    let mut bytes = bind(11, &[(0, SVCCTL)]);
    bytes.extend(request(0, 12, &[0; 300]));
    bytes.extend(request(0, 19, &[]));
    let expected = [
        "rpc CreateServiceW 12 ncacn_np:\\pipe\\svcctl",
        "svcctl prepare CreateServiceW T1569.002",
        "rpc StartServiceW 19 ncacn_np:\\pipe\\svcctl",
        "svcctl execute StartServiceW T1569.002",
    ];
    for size in [1, 2, 7, 16, 24, 100, 1000] {
        let mut out = Output::default();
        let mut pipe = Pipe::new(Some("svcctl"));
        for piece in bytes.chunks(size) {
            pipe.take(Direction::Orig, piece, 0, &mut out);
        }
        assert_eq!(told(&out), expected, "{size} bytes a piece");
        assert_eq!(out.services, ["dce_rpc"]);
    }
}

#[test]
fn endless_fragments_keep_nothing() {
    let mut tcp = Tcp::default();
    let said: Vec<_> = (0..2000_u16).flat_map(|n| [fragment(0, 0, n, &[0; 4000]), bind(14, &[(n, SVCCTL)])]).collect();
    let out = drive(&mut tcp, &said.iter().map(|bytes| (Direction::Orig, &**bytes)).collect::<Vec<_>>());
    assert!(tcp.conversation.size() < 8192, "{}", tcp.conversation.size());
    assert_eq!(told(&out), ["weird too_many_outstanding"]);
}

#[test]
fn every_prefix_and_every_split_is_survived() {
    let mut bytes = bind(11, &[(0, SVCCTL), (1, WBEM)]);
    bytes.extend(request(1, 24, &[1, 2, 3]));
    bytes.extend(request(0, 19, &[]));
    let whole = tcp(&[(Direction::Orig, &bytes)]);
    for at in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(at);
        assert!(whole.starts_with(&tcp(&[(Direction::Orig, head)])), "prefix of {at}");
        assert_eq!(tcp(&[(Direction::Orig, head), (Direction::Orig, tail)]), whole, "split at {at}");
    }
}

/// What a fuzzer feeds: any bytes, as TCP and as a pipe.
pub(in crate::protocol) fn fuzz(data: &[u8]) {
    let _ = probe(Direction::Orig, data);
    let (head, tail) = data.split_at(data.len() / 2);
    let said = [(Direction::Orig, head), (Direction::Resp, data), (Direction::Orig, tail)];
    drive(&mut Tcp::default(), &said);
    let mut out = Output::default();
    let mut pipe = Pipe::new(None);
    for (from, piece) in said {
        pipe.take(from, piece, data.len() % 3, &mut out);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&data);
    }

    #[test]
    fn any_changed_byte_is_survived(at in 0_usize..200, to in any::<u8>()) {
        let mut bytes = bind(11, &[(0, SVCCTL), (1, "000001a0-0000-0000-c000-000000000046")]);
        bytes.extend(request(1, 4, &[5; 60]));
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        fuzz(&bytes);
    }
}
