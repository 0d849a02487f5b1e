//! The readers held against libpcap, against truncation and against noise; the merge against its rule.

use super::samples::{Order, Sample, Seen, all, micros, packet};
use super::{CaptureError, InputReport, LinkType, libpcap::Libpcap, open};
use crate::base::Timestamp;
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

fn packets(numbers: std::ops::Range<u64>) -> Vec<Seen> {
    numbers.map(packet).collect()
}

/// A pcapng of one section and one interface.
fn pcapng(order: Order, options: &[(u16, &[u8])], ticks: impl Fn(Timestamp) -> u64) -> Sample {
    let mut file = Sample::new(order);
    file.section(order);
    file.interface(LinkType::ETHERNET, 0, options);
    for p in packets(0..9) {
        file.enhanced(0, ticks(p.ts), &p, &[]);
    }
    file
}

/// Files of one link type that libpcap reads as well.
fn common() -> Vec<(&'static str, Sample)> {
    let ps = packets(0..9);
    let mut several = Sample::new(Order::Little);
    several.section(Order::Little);
    several.interface(LinkType::ETHERNET, 0, &[(2, b"eth0")]);
    several.interface(LinkType::ETHERNET, 262_144, &[(2, b"eth1"), (9, &[9])]);
    several.block(0x0bad, |b| b.bytes.extend([7; 40]));
    for (i, p) in ps.iter().enumerate() {
        match i % 3 {
            0 => several.enhanced(0, micros(p.ts), p, &[(1, b"a comment")]),
            1 => several.enhanced(1, u64::try_from(p.ts.0).unwrap(), p, &[]),
            _ => several.obsolete(0, micros(p.ts), p),
        }
    }
    several.statistics(0, 17);
    let mut simple = Sample::new(Order::Big);
    simple.section(Order::Big);
    simple.interface(LinkType::ETHERNET, 60, &[]);
    ps.iter().for_each(|p| simple.simple(p));
    vec![
        ("microseconds, little-endian", Sample::pcap(Order::Little, MICRO, (2, 4), &ps)),
        ("microseconds, big-endian", Sample::pcap(Order::Big, MICRO, (2, 4), &ps)),
        ("nanoseconds, little-endian", Sample::pcap(Order::Little, NANO, (2, 4), &ps)),
        ("nanoseconds, big-endian", Sample::pcap(Order::Big, NANO, (2, 4), &ps)),
        ("modified records", Sample::pcap(Order::Little, MODIFIED, (2, 4), &ps)),
        ("version 2.3", Sample::pcap(Order::Little, MICRO, (2, 3), &ps)),
        ("version 2.1, lengths swapped", Sample::pcap(Order::Big, MICRO, (2, 1), &ps)),
        ("no packets", Sample::pcap(Order::Little, MICRO, (2, 4), &[])),
        ("pcapng, little-endian", pcapng(Order::Little, &[], micros)),
        ("pcapng, big-endian", pcapng(Order::Big, &[], micros)),
        ("pcapng, milliseconds", pcapng(Order::Little, &[(9, &[3])], |ts| micros(ts) / 1_000)),
        (
            "pcapng, 2^-20 s",
            pcapng(Order::Big, &[(9, &[0x94])], |ts| {
                u64::try_from((u128::from(micros(ts)) << 20) / 1_000_000).unwrap()
            }),
        ),
        ("pcapng, offset", pcapng(Order::Big, &[(14, &[0, 0, 0, 0, 0, 0, 2, 0])], |ts| micros(ts) - 512_000_000)),
        ("pcapng, two interfaces and blocks of all kinds", several),
    ]
}

/// The packets of a file and its report.
fn read(bytes: &[u8]) -> (Vec<Seen>, InputReport) {
    let mut capture = super::of_bytes(bytes.to_vec()).expect("a capture's magic");
    let seen = all(&mut capture);
    (seen, capture.report().clone())
}

fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn own_readers_give_what_libpcap_gives() {
    let folder = tempfile::tempdir().unwrap();
    for (what, file) in common() {
        let cut = [file.bytes.as_slice(), &file.bytes[..file.bytes.len() - 3]];
        for (bytes, tail) in cut.into_iter().zip(["whole", "cut"]) {
            let path = write(&folder, "x", bytes);
            let Ok(mut theirs) = Libpcap::open(&path, None) else {
                assert_eq!(tail, "cut", "{what}: libpcap does not open it");
                continue;
            };
            let (own, report) = read(bytes);
            assert_eq!(own, all(&mut theirs), "{what}, {tail}");
            assert_eq!(
                report.damage.is_some(),
                theirs.damage.is_some(),
                "{what}, {tail}: {report:?} {:?}",
                theirs.damage
            );
            assert_eq!(report.packets, own.len() as u64, "{what}");
        }
    }
}

#[test]
fn packets_come_out_as_they_went_in() {
    for (what, file) in common() {
        let (own, report) = read(&file.bytes);
        let rounded = |nanos| if what.contains("milli") || what.contains("2^") { nanos / 2_000_000 } else { nanos };
        let expected: Vec<_> = packets(0..file.ends.len() as u64);
        assert_eq!(own.len(), expected.len(), "{what}");
        for (own, expected) in own.iter().zip(&expected) {
            assert_eq!(
                (own.link, own.wire_len, &own.bytes),
                (expected.link, expected.wire_len, &expected.bytes),
                "{what}"
            );
            assert_eq!(rounded(own.ts.0), rounded(expected.ts.0), "{what}");
        }
        assert_eq!(report.damage, None, "{what}");
    }
}

#[test]
fn pcapng_mixes_link_types_byte_orders_and_packets_without_time() {
    let mut raw = packet(1);
    raw.link = LinkType::RAW;
    let [ethernet, timeless, second] = [packet(0), packet(2), packet(3)];
    let mut file = Sample::new(Order::Little);
    file.section(Order::Little);
    file.interface(LinkType::ETHERNET, 0, &[]);
    file.interface(LinkType::RAW, 0, &[(9, &[9])]);
    file.enhanced(0, micros(ethernet.ts), &ethernet, &[]);
    file.enhanced(1, u64::try_from(raw.ts.0).unwrap(), &raw, &[]);
    file.simple(&timeless);
    file.statistics(1, 40);
    file.statistics(1, 42);
    file.section(Order::Big);
    file.interface(LinkType::ETHERNET, 0, &[]);
    file.enhanced(0, micros(second.ts), &second, &[]);
    file.statistics(0, 8);
    let (seen, report) = read(&file.bytes);
    let dated = Seen { ts: raw.ts, ..timeless };
    assert_eq!(seen, [ethernet.clone(), raw, dated, second.clone()]);
    assert_eq!(report.links, [LinkType::ETHERNET, LinkType::RAW]);
    assert_eq!((report.first, report.last), (Some(ethernet.ts), Some(second.ts)));
    assert_eq!((report.untimed, report.dropped, report.damage), (1, 50, None));
}

#[test]
fn damage_is_stated_with_its_place_and_never_an_error() {
    let pcap = Sample::pcap(Order::Little, MICRO, (2, 4), &packets(0..3));
    let ng = pcapng(Order::Big, &[], micros);
    let changed = |file: &Sample, at: usize, byte: u8| {
        let mut bytes = file.bytes.clone();
        bytes[at] = byte;
        bytes
    };
    let trailer = ng.ends[1] - 1;
    let unknown = {
        let mut file = Sample::new(Order::Little);
        file.section(Order::Little);
        file.enhanced(3, 0, &packet(1), &[]);
        file.bytes
    };
    for (what, bytes, whole, told) in [
        ("a header cut", pcap.bytes[..20].to_vec(), 0, "file header"),
        ("a stray byte at the end", [pcap.bytes.as_slice(), b"x"].concat(), 3, "after 1 of 16 bytes"),
        ("a packet cut", pcap.bytes[..pcap.ends[1] + 20].to_vec(), 2, "cut within a packet, after 4 of its"),
        ("a length beyond all packets", changed(&pcap, pcap.ends[0] + 11, 0x7f), 1, "a record claims 21307"),
        ("two lengths that differ", changed(&ng, trailer, 0), 1, "two lengths differ"),
        ("an odd block length", changed(&ng, ng.ends[0] + 7, 41), 1, "not a multiple of 4"),
        ("an interface nobody described", unknown, 0, "interface 3"),
        ("an unknown byte order", changed(&ng, 8, 0), 0, "byte-order magic"),
    ] {
        let (seen, report) = read(&bytes);
        assert_eq!(seen.len(), whole, "{what}");
        let damage = report.damage.unwrap_or_default();
        assert!(
            damage.contains(told) && damage.contains(&format!("after packet {whole}, at byte")),
            "{what}: {damage}"
        );
    }
}

#[test]
fn compression_is_peeled_off_by_magic() {
    let file = Sample::pcap(Order::Little, NANO, (2, 4), &packets(0..9)).bytes;
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let members = [gzip(&file[..50]), gzip(&file[50..])].concat();
    let frames = [zstd(&file[..50]), b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(&file[50..])].concat();
    let whole = read(&file);
    for (what, bytes) in [
        ("gzip", gzip(&file)),
        ("gzip of several members", members),
        ("zstd", zstd(&file)),
        ("zstd of several frames", frames),
        ("gzip in zstd in gzip", gzip(&zstd(&gzip(&file)))),
    ] {
        assert_eq!(read(&bytes), whole, "{what}");
    }
    assert!(super::of_bytes(gzip(&gzip(&gzip(&gzip(&file))))).is_none(), "peeled three times at most");
    assert!(super::of_bytes(gzip(b"no capture")).is_none());
    let (seen, report) = read(&gzip(&file)[..150]);
    assert!(seen.len() < 9 && seen[..] == whole.0[..seen.len()]);
    assert!(report.damage.unwrap().contains("decompression"), "a cut member is damage");
}

#[test]
fn a_decompression_bomb_is_stopped() {
    let mut zeros = Sample::pcap(Order::Little, MICRO, (2, 4), &[]).bytes;
    zeros.resize(80 << 20, 0);
    let (_, report) = read(&zstd::encode_all(zeros.as_slice(), 1).unwrap());
    assert!(report.damage.clone().unwrap_or_default().contains("expands"), "{report:?}");
}

#[test]
fn files_and_folders_merge_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let ps = packets(0..9);
    let of = |numbers: &[usize]| {
        let chosen: Vec<_> = numbers.iter().map(|n| ps[*n].clone()).collect();
        Sample::pcap(Order::Little, MICRO, (2, 4), &chosen).bytes
    };
    let late = write(&folder, "late.pcap", &of(&[3, 8]));
    write(&folder, "case/b/first", &zstd::encode_all(of(&[0, 5]).as_slice(), 1).unwrap());
    write(&folder, "case/a.pcap", &of(&[4, 2, 6]));
    write(&folder, "case/notes.txt", b"no capture at all");
    write(&folder, "case/short", b"x");
    let empty = write(&folder, "empty.pcap", &of(&[]));
    let mut files = open(&[late.clone(), folder.path().join("case"), empty], None).unwrap();
    let mut order = Vec::new();
    while let Some(frame) = super::Source::next(&mut files).unwrap() {
        order.push((frame.input, ps.iter().position(|p| p.ts == frame.ts).unwrap()));
    }
    // Input 1 holds 4 before 2: a file's own frames stay in its order, and 2 comes as soon as it can be seen.
    assert_eq!(order, [(2, 0), (0, 3), (1, 4), (1, 2), (2, 5), (1, 6), (0, 8)]);
    let reports = files.reports();
    assert_eq!(reports.iter().map(|r| r.packets).collect::<Vec<_>>(), [2, 3, 2, 0]);
    assert_eq!(reports[0].path, late.display().to_string());
    assert_eq!(reports[0].bytes, fs::metadata(&late).unwrap().len());
    assert_eq!(files.skipped().len(), 2);
    let progress = files.progress();
    assert_eq!((Some(progress.read), progress.packets), (progress.total, 7));
    assert!(reports.iter().all(|r| r.damage.is_none()));
}

#[test]
fn equal_times_come_in_the_order_of_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Sample::pcap(Order::Little, MICRO, (2, 4), &packets(0..3)).bytes;
    let paths = ["z", "a", "m"].map(|name| write(&folder, name, &bytes));
    let mut files = open(&paths, None).unwrap();
    let mut inputs = Vec::new();
    while let Some(frame) = super::Source::next(&mut files).unwrap() {
        inputs.push(frame.input);
    }
    assert_eq!(inputs, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn more_captures_than_may_be_open_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let count = 300;
    for i in 0..count {
        let mut ps = packets(0..4);
        ps.iter_mut().for_each(|p| p.ts = Timestamp(p.ts.0 + i64::from(i) * 1_000));
        write(&folder, &format!("{i:03}"), &Sample::pcap(Order::Little, NANO, (2, 4), &ps).bytes);
    }
    let mut files = open(&[folder.path().to_owned()], None).unwrap();
    let seen = all(&mut files);
    assert_eq!(seen.len(), 4 * usize::try_from(count).unwrap());
    assert!(seen.is_sorted_by_key(|p| p.ts));
    for report in files.reports() {
        let bytes = fs::read(&report.path).unwrap();
        assert_eq!((report.sha256, report.bytes), (sha256(&bytes), bytes.len() as u64));
    }
}

#[test]
fn the_digest_covers_what_could_not_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Sample::pcap(Order::Little, MICRO, (2, 4), &packets(0..3)).bytes;
    bytes.resize(bytes.len() + 600_000, 0xff);
    for (what, stored) in [("plain", bytes.clone()), ("zstd", zstd::encode_all(bytes.as_slice(), 1).unwrap())] {
        let path = write(&folder, "x", &stored);
        let mut files = open(&[path], None).unwrap();
        assert_eq!(all(&mut files).len(), 3, "{what}");
        let report = &files.reports()[0];
        assert!(report.damage.is_some(), "{what}");
        assert_eq!((report.bytes, &report.sha256), (stored.len() as u64, &sha256(&stored)), "{what}");
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

#[test]
fn a_filter_selects_what_libpcap_selects_and_counts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    for (what, file) in common() {
        let path = write(&folder, "x", &file.bytes);
        for expression in ["greater 60", "ip[1] > 100 or less 40", "not ip", "ether[20] & 3 = 1"] {
            let theirs = all(&mut Libpcap::open(&path, Some(expression)).unwrap());
            let mut files = open(std::slice::from_ref(&path), Some(expression)).unwrap();
            let own = all(&mut files);
            assert_eq!(own, theirs, "{what}: {expression}");
            let read = files.reports()[0].packets;
            assert_eq!((read, files.filtered()), (file.ends.len() as u64, read - own.len() as u64), "{what}");
        }
        let error = open(&[path], Some("port and port")).err().filter(|_| !file.ends.is_empty());
        assert!(file.ends.is_empty() || matches!(error, Some(CaptureError::Filter { .. })), "{what}: {error:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = write(&folder, "notes.txt", b"hello, world");
    for (what, paths, told) in [
        ("a missing file", vec![folder.path().join("nothing")], "nothing: "),
        ("no capture", vec![text], "notes.txt: not a capture file"),
        ("an empty file", vec![write(&folder, "zero", b"")], "zero: not a capture file"),
        ("standard input twice", vec!["-".into(), "-".into()], "only once"),
    ] {
        let error = open(&paths, None).err().unwrap_or_else(|| panic!("{what} is accepted"));
        assert!(error.to_string().contains(told), "{what}: {error}");
    }
    let error = open(&[folder.path().join("nothing")], None).err();
    assert!(matches!(error, Some(CaptureError::Io { .. })));
}

proptest! {
    #[test]
    fn a_cut_capture_gives_every_whole_packet(which in 0..14_usize, cut in 0.0..1.0_f64) {
        let (what, file) = common().swap_remove(which);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in the file")]
        let cut = (cut * file.bytes.len() as f64) as usize;
        if let Some(mut capture) = super::of_bytes(file.bytes[..cut].to_vec()) {
            let whole = file.ends.iter().filter(|end| **end <= cut).count();
            let seen = all(&mut capture);
            prop_assert_eq!(&seen, &read(&file.bytes).0[..whole], "{} cut at {}", what, cut);
        } else {
            prop_assert!(cut < 4);
        }
    }

    #[test]
    fn noise_in_a_capture_neither_panics_nor_runs_on(
        which in 0..14_usize,
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (_, file) = common().swap_remove(which);
        let mut bytes = file.bytes;
        for (at, byte) in noise {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(mut capture) = super::of_bytes(bytes.clone()) {
            let mut held = 0;
            while let Some(frame) = super::Source::next(&mut capture).unwrap() {
                held += frame.bytes.len();
            }
            prop_assert!(held <= bytes.len());
        }
    }
}
