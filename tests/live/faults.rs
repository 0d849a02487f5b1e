//! What goes wrong on a real machine: links that go down, interfaces that vanish, disks that fill up, sensors that are
//! killed. Each shows in the status, and nothing that was written is lost.

use crate::veth::{
    RX, Sensor, Watch, analyze, assert_equal_records, frames, pause, replay, shell, sum, text, values, within,
};
use std::fs;
use std::time::Duration;

#[test]
fn a_quiet_link_is_left_at_once_and_without_records() {
    within("faults::a_quiet_link_is_left_at_once_and_without_records", || {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let sensor = Sensor::start(&log, &["--workers", "2"]);
        pause(Duration::from_millis(1_500));
        let (code, took, said) = sensor.stop();
        assert_eq!(code.code(), Some(0), "{said}");
        assert!(took < Duration::from_secs(3), "stopping took {took:?}");
        let status: serde_json::Value = serde_json::from_str(&text(&log, "status.json")).unwrap();
        assert_eq!((status["phase"].as_str(), sum(&status, &["received"])), (Some("stopped"), 0));
        assert_eq!(text(&log, "flows.jsonl"), "");
        println!("stopped {took:?} after the signal");
    });
}

#[test]
fn an_interface_that_goes_down_and_up_is_followed_and_one_that_is_deleted_ends_the_run() {
    within("faults::an_interface_that_goes_down_and_up_is_followed_and_one_that_is_deleted_ends_the_run", || {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let sent = frames(&["protocol/dns-udp.pcap"]);
        let mut sensor = Sensor::start(&log, &["--workers", "2"]);
        replay(&sent, 10);
        sensor.until_received(sent.len());
        shell(&format!("ip link set {RX} down"));
        sensor.until("the interface is seen to be down", |s| s["interfaces"][0]["up"] == false);
        shell(&format!("ip link set {RX} up"));
        sensor.until("the interface is seen to be up", |s| s["interfaces"][0]["up"] == true);
        replay(&sent, 10);
        let status = sensor.until("packets come again", |s| sum(s, &["delivered"]) >= 2 * sent.len() as u64);
        assert_eq!(status["interfaces"][0]["downs"], 1);
        shell(&format!("ip link del {RX}"));
        let (code, said) = sensor.ends();
        assert_eq!(code.code(), Some(1), "{said}");
        assert!(said.contains(RX) && said.contains("deleted"), "{said}");
        assert!(!text(&log, "summary.json").is_empty(), "what was captured is written to its end");
        println!("followed down and up; deleted: {}", said.trim());
    });
}

#[test]
fn records_wait_for_a_full_disk_and_none_is_lost() {
    within("faults::records_wait_for_a_full_disk_and_none_is_lost", || {
        let folder = tempfile::tempdir().unwrap();
        let (log, out, record) = (folder.path().join("log"), folder.path().join("out"), folder.path().join("r.pcapng"));
        fs::create_dir(&log).unwrap();
        shell(&format!("mount -t tmpfs -o size=256k none {}", log.display()));
        let sent = frames(&["protocol/kerberos-logon.pcap", "protocol/dns-udp.pcap", "protocol/winrm-command.pcap"]);
        let mut sensor = Sensor::start(&log, &["--record", record.to_str().unwrap()]);
        let filler = log.join("filler");
        shell(&format!("dd if=/dev/zero of={} bs=4k 2>/dev/null; true", filler.display()));
        replay(&sent, 10);
        let status = sensor.until("the log fails", |s| !s["log"]["failing"].is_null());
        assert!(status["log"]["failing"].as_str().unwrap().contains("No space left"), "{status}");
        fs::remove_file(&filler).unwrap();
        sensor.until("the log works again", |s| s["log"]["failing"].is_null() && s["log"]["waiting"] == 0);
        let (code, _, said) = sensor.stop();
        assert_eq!(code.code(), Some(0), "{said}");
        analyze(&record, &out);
        assert_equal_records("after a full disk", &log, &out);
        println!("no record lost: {} facts", text(&log, "facts.jsonl").lines().count());
    });
}

#[test]
fn a_sensor_that_is_killed_leaves_whole_lines_and_its_successor_keeps_them() {
    within("faults::a_sensor_that_is_killed_leaves_whole_lines_and_its_successor_keeps_them", || {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let sent = frames(&["protocol/kerberos-logon.pcap", "protocol/dns-udp.pcap"]);
        let mut facts = 0;
        for _ in 0..3 {
            let mut sensor = Sensor::start(&log, &[]);
            replay(&sent, 10);
            sensor.until("facts are written", |s| s["log"]["records"].as_u64().unwrap() > 0);
            sensor.signal("KILL");
            assert_eq!(sensor.ends().0.code(), None);
            facts += values(&text(&log, "facts.jsonl")).len();
        }
        let mut sensor = Sensor::start(&log, &[]);
        replay(&sent, 10);
        sensor.until_received(sent.len());
        assert_eq!(sensor.stop().0.code(), Some(0));
        facts += values(&text(&log, "facts.jsonl")).len();
        let mut kept = 0;
        for entry in fs::read_dir(&log).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with("facts") {
                kept += values(&text(&log, &name)).len();
            }
        }
        assert!(kept == facts && facts > 0, "{kept} lines are kept of {facts} written");
        println!("killed three times: {kept} facts, every line whole");
    });
}

#[test]
fn a_person_sees_the_state_while_it_runs_and_after() {
    within("faults::a_person_sees_the_state_while_it_runs_and_after", || {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let tell = || {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_yukue"))
                .args(["live", "--status", "--log-dir", log.to_str().unwrap()])
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let sensor = Sensor::start(&log, &[]);
        let running = tell();
        assert!(running.contains("capturing") && running.contains(&format!("{RX}: up")), "{running}");
        let watch = Watch::start();
        sensor.stop();
        let stopped = tell();
        assert!(stopped.contains("stopped"), "{stopped}");
        println!("{running}\n{stopped}\n({:?})", watch.elapsed());
    });
}
