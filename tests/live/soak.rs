//! Left alone: mixed traffic without a pause, troubles one after the other, and at the end flat memory, no packet
//! unexplained and as many series as at the beginning. `make soak` takes minutes; this chapter of the suite a short turn.

use crate::veth::{Configured, RX, Sensor, Watch, frames, pause, sender, shell, sum, text, within};
use std::fs;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const MIX: &[&str] = &[
    "protocol/kerberos-logon.pcap",
    "protocol/winrm-command.pcap",
    "protocol/tls-13.pcap",
    "protocol/quic-v1.pcap",
    "protocol/dns-udp.pcap",
    "protocol/dhcp-lease.pcap",
    "protocol/smb2-svcctl.pcap",
    "protocol/fragments-udp.pcap",
    "protocol/vlan-qinq.pcap",
    "protocol/vxlan-vni42.pcap",
    "protocol/erspan-ii.pcap",
    "hostile/dcerpc-endless.pcap",
];

#[test]
fn memory_series_and_accounts_hold_while_troubles_come_and_go() {
    within("soak::memory_series_and_accounts_hold_while_troubles_come_and_go", || {
        let site = Configured::new("");
        fs::write(site.at("intel/feeds/own.txt"), "bad.example\n".repeat(50)).unwrap();
        let whole = Duration::from_secs(seconds());
        let mut sensor = site.start();
        let (done, sent, refused) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let mut samples: Vec<Sample> = Vec::new();
        let mut injected = [0_u32; TROUBLES.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| send_on(&done, &sent, &refused));
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let watch = Watch::start();
                for turn in 0.. {
                    if watch.elapsed() >= whole {
                        break;
                    }
                    let at = turn % TROUBLES.len();
                    (TROUBLES[at].1)(&site, &mut sensor);
                    injected[at] += 1;
                    samples.push(Sample::of(&site, &sensor, watch.elapsed()));
                }
            }));
            done.store(true, Ordering::Relaxed);
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        sensor.until("the rings are empty", |s| sum(s, &["received"]) == sum(s, &OUT_OF_RING));
        let (code, took, said) = sensor.stop();
        assert_eq!(code.code(), Some(0), "{said}");
        let status: serde_json::Value = serde_json::from_str(&text(&site.log(), "status.json")).unwrap();
        let [came, received, lost] = ["nic_packets", "received", "kernel_dropped"].map(|name| sum(&status, &[name]));
        let explained = sum(&status, &OUT_OF_RING) + sum(&status, &["left_in_ring"]);
        assert_eq!((came, received), (received + lost, explained), "unexplained: {status}");
        assert_eq!(status["packets"]["packets"], status["interfaces"][0]["delivered"], "{status}");
        let faults = &status["faults"];
        assert_eq!((faults["packet_panics"].as_u64(), faults["analysis_panics"].as_u64()), (Some(0), Some(0)));
        assert_eq!(status["log"]["lost"], 0, "{status}");

        let series: Vec<usize> = samples.iter().map(|sample| sample.series).collect();
        assert!(series.iter().all(|count| *count == series[0]), "series came or went: {series:?}");
        let (warm, later) = samples.split_at(samples.len() / 2);
        let most = |samples: &[Sample]| samples.iter().map(|sample| sample.resident).max().unwrap();
        let (before, after) = (most(warm), most(later));
        let grew = after.saturating_sub(before);
        assert!(grew <= before / 20 + (16 << 20), "{before} bytes after warming up, {after} at the end: {samples:?}");

        let of = |(n, (name, _)): (u32, &(&str, Trouble))| format!("{n} × {name}");
        let troubles: Vec<String> = injected.into_iter().zip(TROUBLES).map(of).collect();
        println!(
            "soak of {} s: {} packets sent, {} of them into a link that was down; {came} came = {} analysed + {lost} dropped by the \
             kernel + {} shed; {} series throughout; {} MiB resident after warming up, {} MiB at the end; stopped in {took:?}; {}",
            whole.as_secs(),
            sent.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed),
            sent.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed) - came,
            sum(&status, &["delivered"]),
            sum(&status, &["shed_bulk", "shed_first"]),
            series[0],
            before >> 20,
            after >> 20,
            troubles.join(", ")
        );
    });
}

type Trouble = fn(&Configured, &mut Sensor);

/// What happens, one after the other.
const TROUBLES: &[(&str, Trouble)] = &[
    ("nothing", |_, _| pause(Duration::from_secs(2))),
    ("reload", |site, sensor| {
        let before = sensor.status().unwrap()["config"]["reloads"].as_u64().unwrap();
        fs::write(site.at("intel/feeds/own.txt"), "bad.example\n".repeat(50 + usize::from(before % 2 == 0))).unwrap();
        sensor.signal("HUP");
        sensor.until("it has reloaded", |s| s["config"]["reloads"] == before + 1);
    }),
    ("broken reload", |site, sensor| {
        let before = sensor.status().unwrap()["config"]["refused"].as_u64().unwrap();
        fs::write(site.at("rules/beacon.toml"), "enabled = maybe\n").unwrap();
        sensor.signal("HUP");
        sensor.until("it has refused", |s| s["config"]["refused"] == before + 1);
        fs::remove_file(site.at("rules/beacon.toml")).unwrap();
    }),
    ("link down and up", |_, sensor| {
        shell(&format!("ip link set {RX} down"));
        sensor.until("it is seen to be down", |s| s["interfaces"][0]["up"] == false);
        shell(&format!("ip link set {RX} up"));
        sensor.until("it is seen to be up", |s| s["interfaces"][0]["up"] == true);
    }),
    ("400 clients that hang", |site, _| {
        let hang: Vec<_> = (0..400).map(|_| TcpStream::connect(crate::veth::WEB)).collect();
        assert!(site.metric("build_info{") > 0.0 && hang.iter().all(Result::is_ok));
    }),
    ("log moved away", |site, sensor| {
        let (facts, away) = (site.log().join("facts.jsonl"), site.log().join("facts.away"));
        let before = sensor.status().unwrap()["config"]["reloads"].as_u64().unwrap();
        fs::rename(&facts, &away).unwrap();
        sensor.signal("HUP");
        sensor.until("it has reloaded", |s| s["config"]["reloads"] == before + 1);
        let watch = Watch::start();
        while !facts.exists() {
            assert!(watch.elapsed() < Duration::from_secs(30), "no new log was begun: {:?}", sensor.status());
            pause(Duration::from_millis(50));
        }
        fs::remove_file(&away).unwrap();
    }),
];

/// The sensor at one moment.
#[derive(Debug)]
#[expect(dead_code, reason = "printed when memory grew")]
struct Sample {
    at: Duration,
    /// Bytes.
    resident: u64,
    series: usize,
}

impl Sample {
    fn of(site: &Configured, sensor: &Sensor, at: Duration) -> Self {
        let statm = fs::read_to_string(format!("/proc/{}/statm", sensor.id())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        let series = site.get("/metrics").lines().filter(|line| line.starts_with("yukue_")).count();
        Self { at, resident: pages * 4096, series }
    }
}

/// Sends the mix again and again until told to stop; what the link takes and what it refuses.
fn send_on(done: &AtomicBool, sent: &AtomicU64, refused: &AtomicU64) {
    let (all, mut to) = (frames(MIX), sender());
    while !done.load(Ordering::Relaxed) {
        let watch = Watch::start();
        for frame in &all {
            let (due, now) = (frame.after / 4, watch.elapsed());
            if due > now {
                pause(due - now);
            }
            let count = if to.sendpacket(frame.bytes.as_slice()).is_ok() { sent } else { refused };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How long it takes; a minute unless `SOAK_SECONDS` says otherwise.
fn seconds() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test asks for its length")]
    let wanted = std::env::var("SOAK_SECONDS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// What becomes of a packet that came into a ring.
const OUT_OF_RING: [&str; 5] = ["before_start", "filtered", "delivered", "shed_bulk", "shed_first"];
