//! SIGHUP under load: what the operator wrote is followed from the next batch on, or, wrong or implausible, not at all;
//! and no packet is lost over it.

use crate::veth::{Configured, RX, frames, pause, replay, sum, text, within};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

#[test]
fn a_reload_under_load_takes_effect_or_changes_nothing_and_loses_no_packet() {
    within("reload::a_reload_under_load_takes_effect_or_changes_nothing_and_loses_no_packet", || {
        let site = Configured::new("");
        let names = |n: usize| (0..n).map(|n| format!("host{n}.bad.example\n")).collect::<String>();
        let feed = site.at("intel/feeds/own.txt");
        fs::write(&feed, names(100)).unwrap();
        let beacon = include_str!("../../rules/beacon.toml");
        let mut sensor = site.start();
        let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let load = frames(&["protocol/tls-13.pcap", "protocol/dns-udp.pcap"]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    replay(&load, 20);
                    sent.fetch_add(load.len() as u64, Ordering::Relaxed);
                }
            });
            // Whatever fails, the sender must end.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let before = sensor.status().unwrap()["config"].clone();
                assert_eq!((before["is_current"].as_bool(), before["own_rules"].as_u64()), (Some(true), Some(0)));
                fs::write(&feed, format!("{}www.news.example\n", names(100))).unwrap();
                fs::write(site.at("rules/beacon.toml"), beacon.replace("max_p = 0.001", "max_p = 0.002")).unwrap();
                fs::write(site.at("intel/feeds/more.txt"), "more.bad.example\n").unwrap();
                let config = fs::read_to_string(site.at("etc/yukue.toml")).unwrap();
                let path = site.log().join("told.jsonl");
                let later = format!("[[output]]\nname = \"later\"\ntype = \"jsonl\"\npath = \"{}\"\n", path.display());
                fs::write(site.at("etc/yukue.toml"), format!("{config}{later}")).unwrap();
                assert!(!site.get("/metrics").contains("output=\"later\""));
                sensor.signal("HUP");
                let good = sensor.until("it has reloaded", |s| s["config"]["reloads"] == 1)["config"].clone();
                assert!(good["own_rules"] == 1 && good["rules"] != before["rules"], "{good}");
                assert_eq!(rows(&good), rows(&before) + 2, "{good}");
                // What is new has its series at once, at 0; the sensor was not restarted.
                for result in ["ok", "retry", "dropped"] {
                    let series = format!("output_events_total{{output=\"later\",result=\"{result}\"}}");
                    assert_eq!(site.metric(&series), 0.0, "{result}");
                }
                let feeds = site.get("/metrics");
                let more = feeds.lines().find(|l| l.contains("intel_entries") && l.contains("more.txt"));
                assert!(more.is_some_and(|line| line.ends_with(" 1")), "{feeds}");

                fs::write(site.at("rules/beacon.toml"), "enabled = true\nmax_pp = 1\n").unwrap();
                sensor.signal("HUP");
                let wrong = sensor.until("it has refused", |s| s["config"]["refused"] == 1)["config"].clone();
                let why = wrong["why"].as_str().unwrap();
                assert!(why.contains("beacon.toml:2: ") && why.contains("perhaps `max_p` is meant"), "{why}");
                assert!(wrong["is_current"] == false && wrong["rules"] == good["rules"], "{wrong}");
                assert!(site.get("/metrics").contains("\nyukue_config_last_reload_successful 0\n"));
                let ready = site.get("/-/ready");
                assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("max_p"), "{ready}");

                fs::remove_file(site.at("rules/beacon.toml")).unwrap();
                fs::write(&feed, names(60)).unwrap();
                sensor.signal("HUP");
                let cut = sensor.until("it has refused", |s| s["config"]["refused"] == 2)["config"].clone();
                assert!(cut["why"].as_str().unwrap().contains("own.txt shrank from 101 rows to 60"), "{cut}");
                assert_eq!((rows(&cut), &cut["rules"]), (rows(&good), &good["rules"]), "what was in force stays");

                fs::write(&feed, format!("{}www.news.example\n", names(90))).unwrap();
                sensor.signal("HUP");
                let mended = sensor.until("it has reloaded", |s| s["config"]["reloads"] == 2)["config"].clone();
                assert!(mended["is_current"] == true && mended["why"].is_null(), "{mended}");
                assert!(site.get("/-/ready").starts_with("HTTP/1.1 200"));
                pause(Duration::from_secs(1));
            }));
            done.store(true, Ordering::Relaxed);
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        let sent = usize::try_from(sent.load(Ordering::Relaxed)).unwrap();
        sensor.until_received(sent);
        let (code, _, said) = sensor.stop();
        assert_eq!(code.code(), Some(0), "{said}");
        let status: serde_json::Value = serde_json::from_str(&text(&site.log(), "status.json")).unwrap();
        let lost = sum(&status, &["kernel_dropped", "nic_dropped", "shed_bulk", "shed_first", "left_in_ring"]);
        assert_eq!((sum(&status, &["delivered"]), lost), (sent as u64, 0), "{status}");
        let hits = text(&site.log(), "findings.jsonl").lines().filter(|l| l.contains("\"detector\":\"feed\"")).count();
        assert!(hits > 0, "nobody followed the feed's new entry");
        for words in ["configuration reloaded", "was not reloaded", "beacon.toml:2", "shrank from 101 rows to 60"] {
            assert!(said.contains(words), "{words:?} is not in the log:\n{said}");
        }
        println!(
            "four reloads on {RX} under {sent} packets: two taken, two refused, none lost, {hits} hits of the new feed"
        );
    });
}

fn rows(config: &serde_json::Value) -> u64 {
    config["feeds"].as_array().unwrap().iter().map(|feed| feed["rows"].as_u64().unwrap()).sum()
}
