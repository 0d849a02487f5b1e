//! Troubles that come by chance alone, brought about in a running sensor (`sensor/engine/inject.rs`): a clock that is set,
//! and bugs of ours.

use crate::veth::{Configured, Sensor, Watch, analyze, assert_equal_records, cut, frames, pause, replay, text, within};
use std::fs;
use std::time::Duration;

#[test]
fn a_clock_that_is_set_back_and_forward_does_not_set_event_time() {
    within("injected::a_clock_that_is_set_back_and_forward_does_not_set_event_time", || {
        let site = Configured::new("");
        let (faults, record, out) = (site.at("etc/faults"), site.at("log/r.pcapng"), site.at("out"));
        let sent = frames(&["protocol/dns-udp.pcap", "protocol/tls-13.pcap", "protocol/kerberos-logon.pcap"]);
        fs::write(&faults, "clock 0\n").unwrap();
        let mut sensor = site.start_with(&["--inject", faults.to_str().unwrap(), "--record", record.to_str().unwrap()]);
        let (mut last, mut packets) = (0, 0);
        let mut go_on = |sensor: &mut Sensor, what: &str, jumps: u64| {
            // Also on a quiet link: what time it is the machine's clock says.
            sensor.until(what, |s| s["faults"]["clock_jumps"] == jumps);
            replay(&sent, 20);
            packets += sent.len();
            let status = sensor.until(what, |s| s["packets"]["packets"] == packets);
            let event = status["packets"]["last_ns"].as_i64().unwrap();
            assert!(event > last, "{what}: event time went back by {} s", (last - event) / S);
            last = event;
            status["faults"]["clock_offset_s"].as_f64().unwrap().round()
        };
        assert_eq!(go_on(&mut sensor, "a steady clock", 0), 0.0);
        fs::write(&faults, "clock -7200\n").unwrap();
        assert_eq!(go_on(&mut sensor, "two hours back", 1), 7200.0, "event time is ahead of the clock");
        assert_eq!(site.metric("faults_total{fault=\"clock_step\"}"), 1.0);
        fs::write(&faults, "clock 0\n").unwrap();
        assert_eq!(go_on(&mut sensor, "right again", 2), 0.0);
        fs::write(&faults, "clock 7200\n").unwrap();
        assert_eq!(
            go_on(&mut sensor, "two hours ahead", 3),
            -7200.0,
            "a clock that is wrong for a moment ages no flow"
        );
        let before = last_seen(&sensor);
        let watch = Watch::start();
        sensor.until_within(Duration::from_secs(120), "it follows a clock that stays so", |s| {
            s["faults"]["clock_offset_s"] == 0.0
        });
        let took = watch.elapsed();
        replay(&sent, 20);
        let packets = 5 * sent.len();
        sensor.until("packets after that", |s| s["packets"]["packets"] == packets);
        assert!(last_seen(&sensor) - before >= 7200 * S, "followed");
        assert!(site.get("/-/ready").starts_with("HTTP/1.1 200"));
        let (code, _, said) = sensor.stop();
        assert!(code.code() == Some(0) && said.contains("the clock was set"), "{said}");
        analyze(&record, &out);
        assert_equal_records("after three steps of the clock", &site.log(), &out);
        println!("{packets} packets, three steps of two hours; followed the last {took:?} later; live = offline");
    });
}

fn last_seen(sensor: &Sensor) -> i64 {
    sensor.status().unwrap()["packets"]["last_ns"].as_i64().unwrap()
}

#[test]
fn bugs_of_ours_cost_what_they_are_about_and_nothing_else() {
    within("injected::bugs_of_ours_cost_what_they_are_about_and_nothing_else", || {
        let site = Configured::new("");
        site.inside("10.20.0.0/16");
        let faults = site.at("etc/faults");
        fs::write(&faults, "packet 3\nobservation 5\ndetector upload_tail\n").unwrap();
        let mut sensor = site.start_with(&["--inject", faults.to_str().unwrap()]);
        let elsewhere = frames(&["protocol/tls-13.pcap"]);
        replay(&elsewhere, 100);
        let sent = cut(frames(&["attack/staging-antivirus-push.pcap"]), 4426..4525);
        replay(&sent, 4);
        let watch = Watch::start();
        while !text(&site.log(), "alerts.jsonl").contains("\"staging_campaign\"") {
            assert!(watch.elapsed() < Duration::from_secs(120), "no alert: {:?}", sensor.status());
            replay(&elsewhere, 100);
            pause(Duration::from_secs(1));
        }
        let status = sensor
            .until("both are counted", |s| s["faults"]["packet_panics"] == 1 && s["faults"]["analysis_panics"] == 1);
        let broken = status["analysis"]["detector_panics"].as_array().unwrap();
        assert!(broken.len() == 1 && broken[0][0] == "upload_tail", "{status}");
        for fault in ["packet_panic", "analysis_panic"] {
            assert_eq!(site.metric(&format!("faults_total{{fault=\"{fault}\"}}")), 1.0, "{fault}");
        }
        assert!(site.metric("detector_errors_total{detector=\"upload_tail\"}") > 0.0);
        assert!(site.metric("faults_total{fault=\"detector_panic\"}") > 0.0);
        assert_eq!(site.metric("detector_errors_total{detector=\"drift\"}"), 0.0);
        let told = site.get("/-/ready");
        assert!(told.starts_with("HTTP/1.1 200"), "a contained bug takes no sensor out of service: {told}");
        let (code, _, said) = sensor.stop();
        assert_eq!(code.code(), Some(0), "{said}");
        for words in ["a panic was contained", "a fault that was injected", "as meant"] {
            assert!(said.contains(words), "{words:?} is not in the log:\n{said}");
        }
        let asked = broken[0][1].as_u64().unwrap();
        println!(
            "one packet and one observation lost, a detector broken {asked} times, the campaign told all the same"
        );
    });
}

const S: i64 = 1_000_000_000;
