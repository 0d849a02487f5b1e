//! More than can be read: every packet is accounted for, and what decides outlives what is bulk.

use crate::veth::{Sensor, sender, sum, text, within};

#[test]
fn a_flood_is_accounted_for_to_the_packet() {
    within("overload::a_flood_is_accounted_for_to_the_packet", || {
        for (what, flags) in [
            ("a ring of 1 MiB", &["--buffer-mib", "1", "--queue-mib", "64"][..]),
            ("a queue of 1 MiB", &["--buffer-mib", "256", "--queue-mib", "1"]),
            ("both, two workers", &["--buffer-mib", "1", "--queue-mib", "1", "--workers", "2"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let log = folder.path().join("log");
            let mut sensor = Sensor::start(&log, flags);
            let sent = flood();
            // Everything that came is out of the rings once this holds for good.
            sensor.until("the rings are empty", |status| {
                sum(status, &["nic_packets"]) == sum(status, &["received", "kernel_dropped"])
                    && sum(status, &["received"]) == sum(status, &OUT_OF_RING)
                    && sum(status, &["nic_packets"]) > 0
            });
            let (code, _, said) = sensor.stop();
            assert_eq!(code.code(), Some(0), "{what}: {said}");
            let status: serde_json::Value = serde_json::from_str(&text(&log, "status.json")).unwrap();
            let [came, received, lost] = ["nic_packets", "received", "kernel_dropped"].map(|n| sum(&status, &[n]));
            assert_eq!(came, received + lost, "{what}: what the interface saw: {status}");
            assert_eq!(received, sum(&status, &OUT_OF_RING) + sum(&status, &["left_in_ring"]), "{what}: {status}");
            assert_eq!(status["packets"]["packets"], status["interfaces"][0]["delivered"], "{what}: {status}");
            let [delivered, bulk, first] = ["delivered", "shed_bulk", "shed_first"].map(|n| sum(&status, &[n]));
            println!(
                "{what}: sent {sent}, of these {} lost by the sender; {came} came = {delivered} delivered + {lost} dropped by \
                 the kernel + {bulk} bulk shed + {first} first shed",
                sent - came
            );
            assert!(lost + bulk + first > 0, "{what}: no flood: {status}");
            let resolutions = text(&log, "facts.jsonl").lines().filter(|l| l.contains("\"resolution\"")).count();
            assert!(resolutions > 0, "{what}: nothing of the control plane was understood");
        }
    });
}

/// What becomes of a packet that came into a ring.
const OUT_OF_RING: [&str; 5] = ["before_start", "filtered", "delivered", "shed_bulk", "shed_first"];

/// Large packets of a hundred TCP flows as fast as they go, one DNS question and its answer among every hundred; how
/// many.
fn flood() -> u64 {
    let mut to = sender();
    let mut sent = 0;
    let bulk: Vec<Vec<u8>> = (0..100).map(|flow| tcp(40_000 + flow, 1_400)).collect();
    for round in 0..1_500_u16 {
        for frame in &bulk {
            sent += u64::from(to.sendpacket(frame.as_slice()).is_ok());
        }
        for frame in dns(round) {
            sent += u64::from(to.sendpacket(frame.as_slice()).is_ok());
        }
    }
    sent
}

fn ip(protocol: u8, src: [u8; 4], dst: [u8; 4], ports: [u16; 2], rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let total = u16::try_from(24 + rest.len()).unwrap().to_be_bytes();
    frame.extend([0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend(src);
    frame.extend(dst);
    frame.extend(ports[0].to_be_bytes());
    frame.extend(ports[1].to_be_bytes());
    frame.extend_from_slice(rest);
    frame
}

fn tcp(port: u16, payload: usize) -> Vec<u8> {
    let mut rest = vec![0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0];
    rest.extend(std::iter::repeat_n(b'x', payload));
    ip(6, [10, 0, 0, 1], [198, 51, 100, 7], [port, 443], &rest)
}

/// A question for a name and its answer.
fn dns(id: u16) -> [Vec<u8>; 2] {
    let message = |answer: bool| {
        let mut m = Vec::from(id.to_be_bytes());
        m.extend([if answer { 0x81 } else { 1 }, if answer { 0x80 } else { 0 }, 0, 1, 0, u8::from(answer), 0, 0, 0, 0]);
        m.extend(b"\x03www\x07example\0\0\x01\0\x01");
        if answer {
            m.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 7]);
        }
        let mut rest = Vec::from(u16::try_from(8 + m.len()).unwrap().to_be_bytes());
        rest.extend([0, 0]);
        rest.extend(m);
        rest
    };
    let (host, server) = ([10, 0, 0, 1], [10, 0, 0, 53]);
    let port = 20_000 + id;
    [ip(17, host, server, [port, 53], &message(false)), ip(17, server, host, [53, port], &message(true))]
}
