//! A hundred thousand hosts, every detector loaded: the exposition has as many series as before the first packet.

use crate::veth::{Configured, Sensor, WEB, shell, within};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

#[test]
fn a_hundred_thousand_hosts_make_no_series() {
    within("crowd::a_hundred_thousand_hosts_make_no_series", || {
        let site = Configured::new("");
        let spool = site.at("spool");
        fs::create_dir(&spool).unwrap();
        let watch = ["--watch", spool.to_str().unwrap(), "--web.listen-address", WEB, "--inside", "10.0.0.0/8"];
        let intel = site.at("intel");
        let mut sensor = Sensor::run(&site.log(), &[&watch[..], &["--intel", intel.to_str().unwrap()]].concat());
        let before = series(&site);
        let packets = write(&spool.join("crowd.pcap"));
        // Finished: a newer one is there.
        shell(&format!(
            "cp pcaps/protocol/dns-udp.pcap {0}/a.pcap; touch -d '1 hour ago' {0}/crowd.pcap",
            spool.display()
        ));
        let patience = std::time::Duration::from_secs(300);
        sensor.until_within(patience, "all is read", |s| s["packets"]["packets"].as_u64().unwrap() >= packets);
        sensor.until_within(patience, "all is analysed", |s| {
            s["queue"]["bytes"] == 0 && s["queue"]["observation_batches"] == 0 && hosts(&site) >= 100_000.0
        });
        let after = series(&site);
        let queue = &sensor.status().unwrap()["queue"];
        assert!(queue["packet_batches"].as_u64() <= queue["packet_batches_limit"].as_u64(), "{queue}");
        let names = |all: &[String]| all.iter().filter(|line| line.starts_with("yukue_")).cloned().collect::<Vec<_>>();
        assert_eq!(names(&before), names(&after), "series came or went");
        assert!(after.len() <= 2_000, "{} series", after.len());
        let (hosts, detectors) = (hosts(&site), rules());
        assert!(names(&after).iter().filter(|line| line.contains("alerts_open{")).count() >= detectors * 5);
        promtool(&site);
        let (code, _, said) = sensor.stop();
        assert_eq!(code.code(), Some(0), "{said}");
        println!("{hosts} hosts, {packets} packets, {detectors} rules: {} series before and after", after.len());
    });
}

/// Hosts that were active in the last hour, of every role.
fn hosts(site: &Configured) -> f64 {
    let all = site.get("/metrics");
    let lines = all.lines().filter(|line| line.starts_with("yukue_hosts_active{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Names and labels of all series.
fn series(site: &Configured) -> Vec<String> {
    let all = site.get("/metrics");
    let (_, body) = all.split_once("\r\n\r\n").unwrap();
    let lines = body.lines().filter(|line| !line.starts_with('#') && line.contains(' '));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// What Prometheus itself says of the exposition.
fn promtool(site: &Configured) {
    let all = site.get("/metrics");
    let (_, body) = all.split_once("\r\n\r\n").unwrap();
    let asked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut asked) = asked else {
        println!("SKIPPED promtool check metrics: there is no promtool (make tools test)");
        return;
    };
    asked.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let said = asked.wait_with_output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty() && said.stdout.is_empty(), "promtool: {said:?}");
}

/// Rules that are shipped.
fn rules() -> usize {
    let entries = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".toml") && !name.ends_with(".example.toml") && name != "allow.toml").count()
}

/// A capture of twelve minutes: each host asks for a name of its own and calls an address of its own; how many packets.
fn write(path: &std::path::Path) -> u64 {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    let mut put = |bytes: &[u8]| file.write_all(bytes).unwrap();
    put(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
    let mut packets = 0;
    for n in 0..HOSTS_N {
        let [_, a, b, c] = n.to_be_bytes();
        let host = [10, 10 + a, b, c];
        let label = format!("h{n}");
        let mut question = vec![b, c, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, u8::try_from(label.len()).unwrap()];
        question.extend(label.as_bytes());
        question.extend(b"\x07example\0\0\x01\0\x01");
        let mut udp = Vec::from(u16::try_from(8 + question.len()).unwrap().to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(question);
        let syn = [0, 0, 0, c, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0];
        for frame in [ip(17, host, [10, 255, 0, 53], 53, &udp), ip(6, host, [198, 18 + a, b, c], 443, &syn)] {
            let (s, us) = (1_700_000_000 + n / 139, n % 139 * 7_000);
            let len = u32::try_from(frame.len()).unwrap();
            [s, us, len, len].iter().for_each(|word| put(&word.to_le_bytes()));
            put(&frame);
            packets += 1;
        }
    }
    // Time goes on, past a step.
    for (n, s) in [(0_u8, 1_100_u32), (1, 1_400), (2, 1_700)] {
        let frame = ip(17, [10, 10, 0, n], [198, 18, 0, 1], 9, &[0, 12, 0, 0, 1, 2, 3, 4]);
        let len = u32::try_from(frame.len()).unwrap();
        [1_700_000_000 + s, 0, len, len].iter().for_each(|word| put(&word.to_le_bytes()));
        put(&frame);
        packets += 1;
    }
    packets
}

fn ip(protocol: u8, src: [u8; 4], dst: [u8; 4], port: u16, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let total = u16::try_from(24 + rest.len()).unwrap().to_be_bytes();
    frame.extend([0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend(src);
    frame.extend(dst);
    frame.extend(40_000_u16.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend_from_slice(rest);
    frame
}

const HOSTS_N: u32 = 100_000;
