//! Vectors made for these tests; layouts from MS-SMB2 §2.2.

use super::*;
use crate::event::Event;
use crate::protocol::dcerpc::tests::{SVCCTL, bind, drive, request as call, told};
use Direction::{Orig, Resp};
use proptest::prelude::*;

/// A command with its header; `flags` has 1 for an answer, 2 asynchronous, 4 related.
fn command(number: u16, flags: u32, status: u32, message: u64, tree: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xfeSMB\x40\0\x01\0".to_vec(); // Magic, size, credit charge.
    bytes.extend(status.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend([1, 0]); // Credits.
    bytes.extend(flags.to_le_bytes());
    bytes.extend([0; 4]); // Next.
    bytes.extend(message.to_le_bytes());
    bytes.extend([0xff, 0xfe, 0, 0]); // Process.
    bytes.extend(tree.to_le_bytes());
    bytes.extend(0x77_u64.to_le_bytes()); // Session.
    bytes.extend([0; 16]); // Signature.
    bytes.extend(body);
    bytes
}

/// Commands as one compound in one NetBIOS message.
fn frame(commands: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    for (n, command) in commands.iter().enumerate() {
        let mut command = command.clone();
        if n + 1 < commands.len() {
            command.resize(command.len().next_multiple_of(8), 0);
            let next = u32::try_from(command.len()).unwrap();
            command[20..24].copy_from_slice(&next.to_le_bytes());
        }
        message.extend(command);
    }
    let mut bytes = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(message);
    bytes
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn tree_request(message: u64, path: &str) -> Vec<u8> {
    let path = utf16(path);
    let mut body = vec![9, 0, 0, 0, 72, 0]; // Size, flags, offset.
    body.extend(u16::try_from(path.len()).unwrap().to_le_bytes());
    body.extend(path);
    command(3, 0, 0, message, 0, &body)
}

fn tree_answer(message: u64, tree: u32, kind: u8, status: u32) -> Vec<u8> {
    command(3, 1, status, message, tree, &[16, 0, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 1, 0x1f, 0])
}

fn create_request(message: u64, tree: u32, name: &str, options: u32) -> Vec<u8> {
    let name = utf16(name);
    let mut body = vec![57, 0, 0, 0]; // Size, security, oplock.
    body.extend([0; 36]); // Impersonation, flags, reserved, access, attributes, sharing, disposition.
    body.extend(options.to_le_bytes());
    body.extend([120, 0]); // Offset of the name.
    body.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    body.extend([0; 8]); // Contexts.
    body.extend(name);
    command(5, 0, 0, message, tree, &body)
}

fn create_answer(message: u64, tree: u32, id: u8) -> Vec<u8> {
    let mut body = vec![89, 0];
    body.extend([0; 62]);
    body.extend([id; 16]);
    body.extend([0; 8]);
    command(5, 1, 0, message, tree, &body)
}

fn refusal(number: u16, message: u64, status: u32) -> Vec<u8> {
    command(number, 1, status, message, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn write_request(message: u64, tree: u32, id: u8, data: &[u8]) -> Vec<u8> {
    let mut body = vec![49, 0, 112, 0]; // Size, offset of the data.
    body.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    body.extend([0; 8]);
    body.extend([id; 16]);
    body.extend([0; 16]);
    body.extend(data);
    command(9, 0, 0, message, tree, &body)
}

fn write_answer(message: u64, count: u32) -> Vec<u8> {
    let mut body = vec![17, 0, 0, 0];
    body.extend(count.to_le_bytes());
    body.extend([0; 8]);
    command(9, 1, 0, message, 1, &body)
}

fn read_request(message: u64, id: u8) -> Vec<u8> {
    let mut body = vec![49, 0, 0x50, 0, 0, 0, 1, 0];
    body.extend([0; 8]);
    body.extend([id; 16]);
    body.extend([0; 17]);
    command(8, 0, 0, message, 1, &body)
}

fn read_answer(message: u64, status: u32, data: &[u8]) -> Vec<u8> {
    let mut body = vec![17, 0, 80, 0];
    body.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    body.extend([0; 8]);
    body.extend(data);
    command(8, 1, status, message, 1, &body)
}

fn transceive(message: u64, id: u8, data: &[u8]) -> Vec<u8> {
    let mut body = vec![57, 0, 0, 0, 0x17, 0xc0, 0x11, 0]; // Size, FSCTL_PIPE_TRANSCEIVE.
    body.extend([id; 16]);
    body.extend(120_u32.to_le_bytes());
    body.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    body.extend([0; 24]);
    body.extend(data);
    command(11, 0, 0, message, 1, &body)
}

fn set_info(message: u64, flags: u32, id: u8, class: u8, data: &[u8]) -> Vec<u8> {
    let mut body = vec![33, 0, 1, class];
    body.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    body.extend([96, 0, 0, 0, 0, 0, 0, 0]);
    body.extend([id; 16]);
    body.extend(data);
    command(17, flags, 0, message, 1, &body)
}

fn close_request(message: u64, flags: u32, id: u8) -> Vec<u8> {
    let mut body = vec![24, 0, 0, 0, 0, 0, 0, 0];
    body.extend([id; 16]);
    command(6, flags, 0, message, 1, &body)
}

fn done(number: u16, message: u64) -> Vec<u8> {
    command(number, 1, 0, message, 1, &[0; 60])
}

fn rename_to(name: &str) -> Vec<u8> {
    let name = utf16(name);
    let mut data = vec![0; 16];
    data.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
    data.extend(name);
    data
}

type Said = Vec<(Direction, Vec<u8>)>;

fn one(from: Direction, command: Vec<u8>) -> (Direction, Vec<u8>) {
    (from, frame(&[command]))
}

/// Tree 1 is `path`.
fn connected(path: &str, kind: u8) -> Said {
    vec![one(Orig, tree_request(1, path)), one(Resp, tree_answer(1, 1, kind, 0))]
}

fn smb(said: &Said) -> Output {
    let said: Vec<_> = said.iter().map(|(from, bytes)| (*from, &**bytes)).collect();
    drive(&mut Smb::default(), &said)
}

fn with(mut said: Said, more: Said) -> Said {
    said.extend(more);
    said
}

fn disk(more: Said) -> Said {
    let open = vec![one(Orig, create_request(2, 1, "dir\\a.dll", 0)), one(Resp, create_answer(2, 1, 7))];
    with(with(connected("\\\\srv\\C$", 1), open), more)
}

fn scm(more: Said) -> Said {
    let open = vec![one(Orig, create_request(2, 1, "svcctl", 0)), one(Resp, create_answer(2, 1, 7))];
    with(with(connected("\\\\srv\\IPC$", 2), open), more)
}

#[test]
fn what_was_done_with_files_is_told_when_it_succeeded() {
    for (what, said, expected) in [
        ("a share", connected("\\\\srv\\ADMIN$", 1), vec!["share \\\\srv\\ADMIN$ disk"]),
        (
            "a share that is refused",
            vec![one(Orig, tree_request(1, "\\\\srv\\C$")), one(Resp, refusal(3, 1, 0xc000_0022))],
            vec![],
        ),
        (
            "a file written in two pieces, then closed",
            disk(vec![
                one(Orig, write_request(3, 1, 7, &[0; 40_000])),
                one(Orig, write_request(4, 1, 7, &[0; 2000])),
                one(Resp, write_answer(3, 40_000)),
                one(Resp, write_answer(4, 2000)),
                one(Orig, close_request(5, 0, 7)),
                one(Resp, done(6, 5)),
            ]),
            vec!["share \\\\srv\\C$ disk", "open dir\\a.dll 0", "write dir\\a.dll 42000"],
        ),
        (
            "a file read, never closed",
            disk(vec![one(Orig, read_request(3, 7)), one(Resp, read_answer(3, 0, &[0; 900]))]),
            vec!["share \\\\srv\\C$ disk", "open dir\\a.dll 0", "read dir\\a.dll 900"],
        ),
        (
            "a file renamed and deleted",
            disk(vec![
                one(Orig, set_info(3, 0, 7, 10, &rename_to("b.dll"))),
                one(Resp, done(17, 3)),
                one(Orig, set_info(4, 0, 7, 13, &[1])),
                one(Resp, done(17, 4)),
                one(Orig, close_request(5, 0, 7)),
                one(Resp, done(6, 5)),
            ]),
            vec!["share \\\\srv\\C$ disk", "open dir\\a.dll 0", "rename b.dll 0", "delete b.dll 0"],
        ),
        (
            "open, delete and close as one compound of related commands",
            with(
                connected("\\\\srv\\C$", 1),
                vec![
                    (
                        Orig,
                        frame(&[
                            create_request(2, 1, "x.tmp", 0),
                            set_info(3, 4, 0xff, 13, &[1]),
                            close_request(4, 4, 0xff),
                        ]),
                    ),
                    (Resp, frame(&[create_answer(2, 1, 9), done(17, 3), done(6, 4)])),
                ],
            ),
            vec!["share \\\\srv\\C$ disk", "open x.tmp 0", "delete x.tmp 0"],
        ),
        (
            "an answer that comes after an interim one",
            with(
                connected("\\\\srv\\C$", 1),
                vec![
                    one(Orig, create_request(2, 1, "slow", 0x1000)),
                    one(Resp, command(5, 3, 0x103, 2, 0, &[9, 0, 0, 0, 0, 0, 0, 0, 0])),
                    one(Resp, create_answer(2, 1, 9)),
                ],
            ),
            vec!["share \\\\srv\\C$ disk", "open slow 0", "delete slow 0"],
        ),
        (
            "a file that is not there",
            with(
                connected("\\\\srv\\C$", 1),
                vec![one(Orig, create_request(2, 1, "no", 0)), one(Resp, refusal(5, 2, 0xc000_0034))],
            ),
            vec!["share \\\\srv\\C$ disk"],
        ),
    ] {
        assert_eq!(told(&smb(&said)), expected, "{what}");
    }
}

#[test]
fn calls_through_pipes_are_told_with_the_pipe() {
    let start = [
        "share \\\\srv\\IPC$ pipe",
        "open svcctl 0",
        "rpc StartServiceW 19 ncacn_np:\\pipe\\svcctl",
        "svcctl execute StartServiceW T1569.002",
    ];
    let (bind, start_service) = (bind(11, &[(0, SVCCTL)]), call(0, 19, &[0; 30]));
    let (head, tail) = start_service.split_at(21);
    for (what, said) in [
        ("written", vec![one(Orig, write_request(3, 1, 7, &bind)), one(Orig, write_request(4, 1, 7, &start_service))]),
        ("by transactions", vec![one(Orig, transceive(3, 7, &bind)), one(Orig, transceive(4, 7, &start_service))]),
        (
            "in two writes",
            vec![
                one(Orig, write_request(3, 1, 7, &bind)),
                one(Orig, write_request(4, 1, 7, head)),
                one(Orig, write_request(5, 1, 7, tail)),
            ],
        ),
    ] {
        let out = smb(&scm(said));
        let told = told(&out);
        let acts: Vec<_> = told.iter().filter(|line| !line.starts_with("write")).collect();
        assert_eq!(acts, start.iter().collect::<Vec<_>>(), "{what}");
        assert!(out.services.contains(&"dce_rpc"), "{what}");
    }
}

#[test]
fn calls_are_told_even_when_the_pipe_was_opened_before_the_capture() {
    let said = vec![
        one(Orig, write_request(3, 1, 7, &bind(11, &[(0, SVCCTL)]))),
        one(Orig, write_request(4, 1, 7, &call(0, 12, &[]))),
    ];
    assert_eq!(told(&smb(&said)), ["rpc CreateServiceW 12 ncacn_np:", "svcctl prepare CreateServiceW T1569.002"]);
}

#[test]
fn a_pipe_of_psexec_is_an_execution() {
    let open = vec![one(Orig, create_request(2, 1, "PSEXESVC-A-1-stdin", 0)), one(Resp, create_answer(2, 1, 7))];
    assert_eq!(
        told(&smb(&with(connected("\\\\srv\\IPC$", 2), open))),
        ["share \\\\srv\\IPC$ pipe", "open PSEXESVC-A-1-stdin 0", "psexec execute - T1569.002"]
    );
}

#[test]
fn what_cannot_be_seen_is_told_once() {
    let sealed = |magic: u8| {
        let mut bytes = vec![0, 0, 0, 80, magic];
        bytes.extend(b"SMB");
        bytes.extend([0xee; 76]);
        (Orig, bytes)
    };
    for (what, magic, expected) in
        [("encrypted", 0xfd, "weird smb_encrypted"), ("compressed", 0xfc, "weird smb_compressed")]
    {
        assert_eq!(told(&smb(&vec![sealed(magic), sealed(magic)])), [expected], "{what}");
    }
}

#[test]
fn probing_wants_the_magic() {
    for (what, data, expected) in [
        ("an SMB 2 message", b"\0\0\0\x40\xfeSMB".as_slice(), Probe::Match),
        ("an SMB 1 message", b"\0\0\0\x40\xffSMB", Probe::Match),
        ("its first bytes", b"\0\0\0\x40\xfe", Probe::NeedMore),
        ("a NetBIOS session request", b"\x81\0\0\x44 CK", Probe::Match),
        ("a TLS record", b"\x16\x03\x01\x02\0\x01", Probe::Mismatch),
        ("zeros", &[0; 12], Probe::Mismatch),
    ] {
        assert_eq!(probe(Orig, data), expected, "{what}");
    }
}

#[test]
fn reading_goes_on_at_the_next_message_after_a_gap() {
    let mut smb = Smb::default();
    let said = disk(vec![]);
    drive(&mut smb, &said.iter().map(|(from, bytes)| (*from, &**bytes)).collect::<Vec<_>>());
    smb.gap(Orig, 9000, &mut Output::default());
    let mut rest = vec![0xee; 300];
    rest.extend(frame(&[tree_request(9, "\\\\srv\\D$")]));
    let answer = frame(&[tree_answer(9, 2, 1, 0)]);
    assert_eq!(told(&drive(&mut smb, &[(Orig, &rest), (Resp, &answer)])), ["share \\\\srv\\D$ disk"]);
}

#[test]
fn a_stray_byte_before_the_first_message_costs_nothing() {
    let mut smb = Smb::default();
    let [(_, request), (_, answer)] = <[_; 2]>::try_from(connected("\\\\srv\\C$", 1)).unwrap();
    let stray = [&[0], &*answer].concat(); // A keep-alive's byte, where the capture begins.
    assert_eq!(
        told(&drive(&mut smb, &[(Orig, &request), (Resp, &stray)])),
        ["weird smb_malformed", "share \\\\srv\\C$ disk"]
    );
    let noise = [0xee; 64].repeat(64);
    let noise: Vec<_> = noise.chunks(64).map(|piece| (Orig, piece)).collect();
    assert_eq!(told(&drive(&mut Smb::default(), &noise)), ["weird smb_malformed"], "told once, then looked for");
}

#[test]
fn every_prefix_and_every_split_is_survived() {
    let said = scm(vec![
        one(Orig, write_request(3, 1, 7, &bind(11, &[(0, SVCCTL)]))),
        one(Orig, write_request(4, 1, 7, &call(0, 19, &[0; 30]))),
    ]);
    let whole = told(&smb(&said));
    for (n, (from, bytes)) in said.iter().enumerate() {
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            let mut split = said.clone();
            split.splice(n..=n, [(*from, head.to_vec()), (*from, tail.to_vec())]);
            assert_eq!(told(&smb(&split)), whole, "message {n} split at {at}");
            split.truncate(n + 1);
            let prefix = told(&smb(&split));
            assert!(whole.starts_with(&prefix), "message {n} cut at {at}: {prefix:?}");
        }
    }
}

#[test]
fn many_open_requests_stay_in_their_budget() {
    let mut said = connected("\\\\srv\\IPC$", 2);
    for n in 0..5000 {
        said.push(one(Orig, create_request(n + 2, 1, "svcctl", 0)));
        said.push(one(Orig, transceive(n + 9000, u8::try_from(n % 250).unwrap(), &bind(11, &[(0, SVCCTL)])[..40])));
    }
    let out = smb(&said);
    assert_eq!(out.events.iter().filter(|e| matches!(e, Event::Weird(_))).count(), 2, "requests and handles");
}

/// What a fuzzer feeds: any bytes of both sides.
pub(in crate::protocol) fn fuzz(data: &[u8]) {
    let _ = probe(Orig, data);
    let (head, tail) = data.split_at(data.len() / 2);
    drive(&mut Smb::default(), &[(Orig, head), (Resp, data), (Orig, tail), (Resp, head)]);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&data);
        let mut framed = vec![0, 0, 0, 200, 0xfe, b'S', b'M', b'B', 64, 0];
        framed.extend(data);
        fuzz(&framed);
    }

    #[test]
    fn any_changed_byte_is_survived(message in 0_usize..6, at in 0_usize..200, to in any::<u8>()) {
        let mut said = scm(vec![
            one(Orig, write_request(3, 1, 7, &bind(11, &[(0, SVCCTL)]))),
            one(Orig, set_info(4, 0, 7, 10, &rename_to("b.dll"))),
        ]);
        if let Some(byte) = said.get_mut(message).and_then(|(_, bytes)| bytes.get_mut(at)) {
            *byte = to;
        }
        smb(&said);
    }
}
