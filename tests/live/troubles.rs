//! Troubles as an operator meets them: each shows in a metric, in readiness where it matters and in the log, and goes when
//! its cause does. `sensor/packaging/FAULTS.md` is the table of them.

use crate::veth::{Configured, RX, Sensor, TX, Watch, cut, frames, pause, replay, shell, sum, text, values, within};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

#[test]
fn a_mirror_that_is_lost_shows_until_it_is_back() {
    within("troubles::a_mirror_that_is_lost_shows_until_it_is_back", || {
        let site = Configured::new("");
        let mut sensor = site.start();
        assert_eq!(
            site.metric(&format!("capture_last_packet_timestamp_seconds{{interface=\"{RX}\"}}")),
            0.0,
            "no traffic"
        );
        assert!(site.get("/-/ready").starts_with("HTTP/1.1 200"), "no traffic is no failure of ours");
        let sent = frames(&["protocol/dns-udp.pcap", "protocol/vxlan-vni42.pcap", "protocol/vlan-qinq.pcap"]);
        replay(&sent, 10);
        sensor.until_received(sent.len());
        sensor.until("they are decoded", |s| s["packets"]["packets"] == sent.len());
        for wrapped in ["vxlan", "qinq"] {
            assert!(
                site.metric(&format!("decode_encapsulated_packets_total{{encap=\"{wrapped}\"}}")) > 0.0,
                "{wrapped}"
            );
        }
        assert!(site.metric("decode_packets_total{transport=\"udp\"}") > 0.0);
        assert!(site.metric("pipeline_batch_duration_seconds_count{stage=\"packets\"}") > 0.0);
        assert!(site.metric("store_limit_bytes{kind=\"flows\"}") > 0.0);
        assert!(site.metric("intel_entries{feed=\"cloud_ranges.csv\"}") > 0.0);
        // The cable is pulled at the other end.
        shell(&format!("ip link set {TX} down"));
        sensor.until("the mirror is seen to be lost", |s| s["interfaces"][0]["up"] == false);
        assert_eq!(site.metric(&format!("capture_up{{interface=\"{RX}\"}}")), 0.0);
        assert_eq!(site.metric("faults_total{fault=\"interface_down\"}"), 1.0);
        let ready = site.get("/-/ready");
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains(&format!("down: {RX}")), "{ready}");
        shell(&format!("ip link set {TX} up"));
        sensor.until("it is back", |s| s["interfaces"][0]["up"] == true);
        replay(&sent, 10);
        sensor.until("packets come again", |s| sum(s, &["delivered"]) == 2 * sent.len() as u64);
        assert!(site.get("/-/ready").starts_with("HTTP/1.1 200"));
        let (code, _, said) = sensor.stop();
        assert_eq!(code.code(), Some(0), "{said}");
        for words in ["the interface is down", "the interface is up again"] {
            assert!(said.contains(words), "{words:?} is not in the log:\n{said}");
        }
        println!("lost and back: readiness, capture_up and faults_total followed");
    });
}

#[test]
fn a_baseline_that_is_damaged_is_set_aside_and_one_that_cannot_be_saved_is_told() {
    within("troubles::a_baseline_that_is_damaged_is_set_aside_and_one_that_cannot_be_saved_is_told", || {
        let site = Configured::new("");
        shell(&format!("mount -t tmpfs -o size=8m none {}", site.at("state").display()));
        fs::write(site.at("state/baseline.redb"), "not what it was").unwrap();
        let sent = frames(&["protocol/dns-udp.pcap", "protocol/tls-13.pcap"]);
        let mut sensor = site.start();
        let status = sensor.until("it tells", |s| s["faults"]["baselines_set_aside"] == 1);
        assert_eq!(site.metric("faults_total{fault=\"baseline_set_aside\"}"), 1.0, "{status}");
        replay(&sent, 10);
        sensor.until_received(sent.len());
        let aside = fs::read_to_string(site.at("state/baseline.redb.damaged-1")).unwrap();
        assert_eq!(aside, "not what it was", "kept for who wants to know");
        let (code, _, said) = sensor.stop();
        assert!(code.code() == Some(0) && said.contains("the baseline is damaged"), "{said}");

        let mut sensor = site.start();
        sensor.until("it goes on from what it saved", |s| s["faults"]["baselines_set_aside"] == 0);
        let filler = site.at("state/filler");
        shell(&format!("dd if=/dev/zero of={} bs=4k 2>/dev/null; true", filler.display()));
        replay(&frames(&["protocol/kerberos-logon.pcap", "protocol/winrm-command.pcap"]), 10);
        sensor.until("facts are there", |s| s["analysis"]["observations"].as_u64().unwrap() > 0);
        let (code, _, said) = sensor.stop();
        let last: serde_json::Value = serde_json::from_str(&text(&site.log(), "status.json")).unwrap();
        assert_eq!(code.code(), Some(0), "a full disk ends nothing: {said}");
        assert!(said.contains("what is known was not saved") && said.contains(".snapshot-"), "{last}\n{said}");
        assert_eq!(last["faults"]["baseline_unsaved"], 2, "the week that was to be kept, and the state: {said}");
        let left = fs::read_dir(site.at("state")).unwrap().map(|file| file.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().ends_with(".new")).collect();
        assert!(left.is_empty(), "half a snapshot takes what room is left: {left:?}");

        fs::remove_file(&filler).unwrap();
        let mut sensor = site.start();
        let status = sensor.until("it runs", |s| s["phase"] == "capturing");
        assert_eq!(status["faults"]["baselines_set_aside"], 0, "the older state was still whole");
        let (code, _, said) = sensor.stop();
        assert_eq!(code.code(), Some(0), "{said}");
        println!("set aside once, unsaved once, whole again");
    });
}

#[test]
fn clients_that_hang_keep_no_scraper_out_and_cost_no_packet() {
    within("troubles::clients_that_hang_keep_no_scraper_out_and_cost_no_packet", || {
        let site = Configured::new("");
        let mut sensor = site.start();
        let before = resident(&sensor);
        // The sensor has what a login gives; its clients are many machines.
        let half_open = if raise_open_files(HALF_OPEN + 500) { HALF_OPEN } else { 600 };
        let connect = || TcpStream::connect(crate::veth::WEB).unwrap();
        // Half-open, far more than the sensor lets in; and some that ask and never read.
        let silent: Vec<TcpStream> = (0..half_open)
            .map(|n| {
                let mut stream = connect();
                if n % 2 == 0 {
                    // One that had to leave already refuses it.
                    let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: ");
                }
                stream
            })
            .collect();
        let slow: Vec<TcpStream> = (0..20)
            .map(|_| {
                let mut stream = connect();
                let _ = stream
                    .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
                stream
            })
            .collect();
        let sent = frames(&["protocol/dns-udp.pcap", "protocol/tls-13.pcap", "protocol/kerberos-logon.pcap"]);
        let watch = Watch::start();
        for round in 1..=5 {
            replay(&sent, 20);
            assert!(site.metric("build_info{") > 0.0 && site.metric("capture_packets_total{") >= 0.0, "round {round}");
        }
        let status = sensor.until("all is taken", |s| sum(s, &["delivered"]) == 5 * sent.len() as u64);
        let lost = sum(&status, &["kernel_dropped", "nic_dropped", "shed_bulk", "shed_first"]);
        assert_eq!(lost, 0, "{status}");
        let open = fs::read_dir(format!("/proc/{}/fd", sensor.id())).unwrap().count();
        assert!(open < 400, "{open} files are open in the sensor");
        let grew = resident(&sensor).saturating_sub(before) >> 20;
        assert!(grew < 64, "{grew} MiB more for clients that ask nothing");
        println!(
            "{} hang for {:?}: {open} files open, {grew} MiB more; five scrapes answered, no packet lost",
            silent.len() + slow.len(),
            watch.elapsed()
        );
        assert_eq!(sensor.stop().0.code(), Some(0));
    });
}

#[test]
fn a_receiver_that_is_away_and_a_sensor_that_is_killed_lose_and_double_no_alert() {
    within("troubles::a_receiver_that_is_away_and_a_sensor_that_is_killed_lose_and_double_no_alert", || {
        let site = Configured::new(&format!(
            "[[output]]\nname = \"siem\"\ntype = \"syslog\"\naddress = \"tcp://{SIEM}\"\nformat = \"json\"\n"
        ));
        site.inside("10.20.0.0/16");
        let sent = cut(frames(&["attack/staging-antivirus-push.pcap"]), 4426..4525);
        let elsewhere = frames(&["protocol/tls-13.pcap"]);
        let told = |sensor: &mut Sensor| {
            // Told at the next half minute of event time.
            let watch = Watch::start();
            while !text(&site.log(), "alerts.jsonl").contains("\"common_cause\"") {
                assert!(watch.elapsed() < Duration::from_secs(120), "no alert: {:?}", sensor.status());
                replay(&elsewhere, 100);
                pause(Duration::from_secs(1));
            }
        };
        let mut sensor = site.start();
        replay(&sent, 4);
        told(&mut sensor);
        let ready = site.wait_for("/-/ready", "siem: ");
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(site.metric("output_events_total{output=\"siem\",result=\"retry\"}") > 0.0);
        assert_eq!(site.metric("output_events_total{output=\"siem\",result=\"dropped\"}"), 0.0);
        assert!(site.metric("output_queue_entries{output=\"siem\"}") > 0.0);
        // Killed with the alert untold, and four times under load.
        for _ in 0..4 {
            sensor.signal("KILL");
            assert_eq!(sensor.ends().0.code(), None);
            sensor = site.start();
            let status = sensor.until("it goes on from its baseline", |s| s["phase"] == "capturing");
            assert_eq!(status["faults"]["baselines_set_aside"], 0, "{status}");
            replay(&sent, 50);
            sensor.until("records are written", |s| s["log"]["records"].as_u64().unwrap() > 0);
        }
        sensor.signal("KILL");
        assert_eq!(sensor.ends().0.code(), None);
        // The receiver is back; the next sensor delivers what the killed ones left.
        let listener = TcpListener::bind(SIEM).unwrap();
        let sensor = site.start();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        let (mut heard, mut some) = (Vec::new(), [0; 65_536]);
        while let Ok(n @ 1..) = stream.read(&mut some) {
            heard.extend_from_slice(&some[..n]);
        }
        let mut keys: Vec<(String, u64)> = Vec::new();
        let mut rest = heard.as_slice();
        while let Some(at) = rest.iter().position(|byte| *byte == b'{') {
            let mut messages = serde_json::Deserializer::from_slice(&rest[at..]).into_iter::<serde_json::Value>();
            let alert = messages.next().unwrap().unwrap();
            keys.push((alert["id"].as_str().unwrap().to_owned(), alert["update"].as_u64().unwrap()));
            rest = &rest[at + messages.byte_offset()..];
        }
        let ready = site.get("/-/ready");
        assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
        let (code, _, said) = sensor.stop();
        assert!(code.code() == Some(0) && !said.contains("damaged"), "{said}");
        let once: BTreeSet<&(String, u64)> = keys.iter().collect();
        assert_eq!(once.len(), keys.len(), "told twice: {keys:?}");
        let heard: BTreeSet<&str> = keys.iter().map(|(id, _)| id.as_str()).collect();
        let mut written = BTreeSet::new();
        for entry in fs::read_dir(site.log()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with("alerts") {
                let loud = values(&text(&site.log(), &name)).into_iter().filter(|alert| alert["severity"] != "info");
                written.extend(loud.map(|alert| alert["id"].as_str().unwrap().to_owned()));
            }
        }
        let missed: Vec<&String> = written.iter().filter(|id| !heard.contains(id.as_str())).collect();
        assert!(!written.is_empty() && missed.is_empty(), "written and never told: {missed:?}, heard {heard:?}");
        println!(
            "{} alerts in {} tellings after an outage and five kills: none lost, none twice",
            heard.len(),
            keys.len()
        );
    });
}

/// Lets this process hold so many files; whether it may.
fn raise_open_files(wanted: u64) -> bool {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let raised = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(most), most).is_ok() && most >= wanted;
    if !raised {
        println!("only 600 of {HALF_OPEN} clients: {most} files may be open here (ulimit -Hn)");
    }
    raised
}

/// Bytes of memory.
fn resident(sensor: &Sensor) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{}/statm", sensor.id())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

const HALF_OPEN: u64 = 10_000;
/// Where the receiver will be.
const SIEM: &str = "127.0.0.1:6601";
