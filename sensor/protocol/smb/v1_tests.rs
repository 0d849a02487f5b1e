//! SMB 1 vectors made for these tests; layouts from MS-CIFS §2.2.4 and MS-SMB §2.2.4.

use super::*;
use crate::event::Event;
use crate::protocol::dcerpc::tests::{SVCCTL, bind, drive, request as call, told};
use Direction::{Orig, Resp};
use proptest::prelude::*;

/// A message in its NetBIOS frame: Unicode, NT status, tree 1.
fn message(command: u8, reply: u8, status: u32, exchange: u16, words: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut smb = b"\xffSMB".to_vec();
    smb.push(command);
    smb.extend(status.to_le_bytes());
    smb.extend([reply, 0x01, 0xc0]);
    smb.extend([0; 12]); // Process (high), signature, reserved.
    smb.extend([1, 0, 0xfe, 0xca, 0, 8]); // Tree, process, user.
    smb.extend(exchange.to_le_bytes());
    smb.push(u8::try_from(words.len() / 2).unwrap());
    smb.extend(words);
    smb.extend(u16::try_from(bytes.len()).unwrap().to_le_bytes());
    smb.extend(bytes);
    let mut frame = u32::try_from(smb.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(smb);
    frame
}

fn ask(command: u8, exchange: u16, words: &[u8], bytes: &[u8]) -> (Direction, Vec<u8>) {
    (Orig, message(command, 0x18, 0, exchange, words, bytes))
}

fn answer(command: u8, exchange: u16, words: &[u8], bytes: &[u8]) -> (Direction, Vec<u8>) {
    (Resp, message(command, 0x98, 0, exchange, words, bytes))
}

fn refuse(command: u8, exchange: u16) -> (Direction, Vec<u8>) {
    (Resp, message(command, 0x98, 0xc000_0022, exchange, &[], &[]))
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

type Said = Vec<(Direction, Vec<u8>)>;

fn tree(path: &str, service: &[u8]) -> Said {
    let mut bytes = vec![0]; // Password; the path then starts at an even offset: 32 + 1 + 8 + 2 + 1.
    bytes.extend(utf16(path));
    bytes.extend([0, 0]);
    bytes.extend(b"?????\0");
    let mut reply = service.to_vec();
    reply.extend([0, 0, 0]);
    vec![
        ask(0x75, 1, &[0xff, 0, 0, 0, 0x08, 0, 1, 0], &bytes), // AndX, flags, length of the password.
        answer(0x75, 1, &[0xff, 0, 0, 0, 1, 0], &reply),
    ]
}

fn open(exchange: u16, name: &str) -> (Direction, Vec<u8>) {
    let name = utf16(name);
    let mut words = vec![0xff, 0, 0, 0, 0]; // AndX, reserved.
    words.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    words.extend([0; 41]);
    let mut bytes = vec![0]; // Aligns the name: 32 + 1 + 48 + 2 is odd.
    bytes.extend(name);
    ask(0xa2, exchange, &words, &bytes)
}

fn opened(exchange: u16, file: u16) -> (Direction, Vec<u8>) {
    let mut words = vec![0xff, 0, 0, 0, 0]; // AndX, oplock.
    words.extend(file.to_le_bytes());
    words.extend([0; 61]);
    answer(0xa2, exchange, &words, &[])
}

fn write(exchange: u16, file: u16, data: &[u8]) -> (Direction, Vec<u8>) {
    let mut words = vec![0xff, 0, 0, 0];
    words.extend(file.to_le_bytes());
    words.extend([0; 12]); // Offset, timeout, mode, remaining.
    words.extend([0, 0]); // Length, high half.
    words.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
    words.extend([64, 0]); // 32 + 1 + 28 + 2 and a byte of padding.
    words.extend([0; 4]);
    let mut bytes = vec![0xee];
    bytes.extend(data);
    ask(0x2f, exchange, &words, &bytes)
}

fn written(exchange: u16, count: u16) -> (Direction, Vec<u8>) {
    let mut words = vec![0xff, 0, 0, 0];
    words.extend(count.to_le_bytes());
    words.extend([0; 6]);
    answer(0x2f, exchange, &words, &[])
}

fn transact(exchange: u16, file: u16, data: &[u8]) -> (Direction, Vec<u8>) {
    let len = u16::try_from(data.len()).unwrap().to_le_bytes();
    let mut words = vec![0, 0, len[0], len[1]]; // Total parameters, total data.
    words.extend([0; 14]);
    words.extend([0, 0, 84, 0]); // Parameters.
    words.extend([len[0], len[1], 84, 0]); // Data.
    words.extend([2, 0, 0x26, 0]); // Two setup words: TransactNmPipe, the file.
    words.extend(file.to_le_bytes());
    let mut bytes = vec![0]; // Aligns: 32 + 1 + 32 + 2 = 67.
    bytes.extend(utf16("\\PIPE\\\0"));
    bytes.extend([0; 2]);
    bytes.extend(data);
    ask(0x25, exchange, &words, &bytes)
}

fn smb(said: &Said) -> Output {
    let said: Vec<_> = said.iter().map(|(from, bytes)| (*from, &**bytes)).collect();
    drive(&mut Smb::default(), &said)
}

fn with(mut said: Said, more: Said) -> Said {
    said.extend(more);
    said
}

fn scm(more: Said) -> Said {
    with(with(tree("\\\\srv\\IPC$", b"IPC\0"), vec![open(2, "\\svcctl"), opened(2, 0x4001)]), more)
}

#[test]
fn trees_files_and_pipes_are_told() {
    let rpc = [
        "share \\\\srv\\IPC$ pipe",
        "open \\svcctl 0",
        "rpc StartServiceW 19 ncacn_np:\\pipe\\svcctl",
        "svcctl execute StartServiceW T1569.002",
    ];
    for (what, said, expected) in [
        ("a share", tree("\\\\srv\\C$", b"A:\0"), vec!["share \\\\srv\\C$ disk"]),
        ("a share that is refused", vec![tree("\\\\srv\\C$", b"A:\0").remove(0), refuse(0x75, 1)], vec![]),
        (
            "a file written and closed",
            with(
                tree("\\\\srv\\C$", b"A:\0"),
                vec![
                    open(2, "\\dir\\a.exe"),
                    opened(2, 0x4001),
                    write(3, 0x4001, &[0; 30_000]),
                    written(3, 30_000),
                    ask(0x04, 4, &[1, 0x40, 0, 0, 0, 0], &[]),
                    answer(0x04, 4, &[], &[]),
                ],
            ),
            vec!["share \\\\srv\\C$ disk", "open \\dir\\a.exe 0", "write \\dir\\a.exe 30000"],
        ),
        (
            "a file deleted by its name",
            with(
                tree("\\\\srv\\C$", b"A:\0"),
                vec![ask(0x06, 5, &[0, 0], &[&[4], &*utf16("\\old.exe\0")].concat()), answer(0x06, 5, &[], &[])],
            ),
            vec!["share \\\\srv\\C$ disk", "delete \\old.exe 0"],
        ),
        (
            "calls by transactions",
            scm(vec![transact(3, 0x4001, &bind(11, &[(0, SVCCTL)])), transact(4, 0x4001, &call(0, 19, &[0; 20]))]),
            rpc.to_vec(),
        ),
        (
            "calls by writes",
            scm(vec![write(3, 0x4001, &bind(11, &[(0, SVCCTL)])), write(4, 0x4001, &call(0, 19, &[0; 20]))]),
            rpc.to_vec(),
        ),
    ] {
        assert_eq!(told(&smb(&said)), expected, "{what}");
    }
}

#[test]
fn machines_are_named_by_the_netbios_session_under_them() {
    let mut request = vec![0x81, 0, 0, 68, 32];
    request.extend(b"FDFCFGDBCACACACACACACACACACACACA\0"); // SRV1
    request.push(32);
    request.extend(b"FAEDDHCACACACACACACACACACACACAAA\0"); // PC7
    let named = |said: &Said| -> Vec<_> {
        let name = |event: &Event| match event {
            Event::Identity(who) => (who.side, who.hostname.clone().unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        smb(said).events.iter().map(name).collect()
    };
    let accepted = vec![(Orig, request.clone()), (Resp, vec![0x82, 0, 0, 0])];
    assert_eq!(named(&accepted), [(Some(Orig), "PC7".into()), (Some(Resp), "SRV1".into())]);
    let refused = vec![(Orig, request), (Resp, vec![0x83, 0, 0, 1, 0x82])];
    assert_eq!(named(&refused), [(Some(Orig), "PC7".into())], "it answers to another name");
}

#[test]
fn names_in_clear_are_told_as_an_authentication() {
    let mut words = vec![0xff, 0, 0, 0];
    words.extend([0; 10]);
    words.extend([4, 0, 2, 0]); // Lengths of the two secrets.
    words.extend([0; 8]);
    let mut bytes = vec![0xaa; 6]; // The names start at 32 + 1 + 26 + 2 + 6, aligned.
    bytes.extend([0]);
    bytes.extend(utf16("alice\0EXAMPLE\0os\0"));
    let out = smb(&vec![ask(0x73, 1, &words, &bytes)]);
    let Some(Event::Authentication(who)) = out.events.first() else { panic!("{out:?}") };
    assert_eq!((who.user.as_deref(), who.domain.as_deref()), (Some("alice"), Some("EXAMPLE")));
}

#[test]
fn every_prefix_and_every_split_is_survived() {
    let said = scm(vec![transact(3, 0x4001, &bind(11, &[(0, SVCCTL)])), transact(4, 0x4001, &call(0, 19, &[0; 20]))]);
    let whole = told(&smb(&said));
    for (n, (from, bytes)) in said.iter().enumerate() {
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            let mut split = said.clone();
            split.splice(n..=n, [(*from, head.to_vec()), (*from, tail.to_vec())]);
            assert_eq!(told(&smb(&split)), whole, "message {n} split at {at}");
            split.truncate(n + 1);
            assert!(whole.starts_with(&told(&smb(&split))), "message {n} cut at {at}");
        }
    }
}

proptest! {
    #[test]
    fn any_changed_byte_is_survived(message in 0_usize..6, at in 0_usize..140, to in any::<u8>()) {
        let mut said = scm(vec![
            transact(3, 0x4001, &bind(11, &[(0, SVCCTL)])),
            write(4, 0x4001, &call(0, 19, &[0; 20])),
        ]);
        if let Some(byte) = said.get_mut(message).and_then(|(_, bytes)| bytes.get_mut(at)) {
            *byte = to;
        }
        smb(&said);
    }
}
