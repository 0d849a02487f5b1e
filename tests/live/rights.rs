//! What a sensor that runs cannot do any more: open interfaces, or touch files that are not its own.

use crate::veth::{Configured, frames, replay, shell, text, within};
use std::fs;

#[test]
fn a_sensor_that_captures_has_no_capabilities_and_writes_nowhere_but_into_its_folders() {
    within("rights::a_sensor_that_captures_has_no_capabilities_and_writes_nowhere_but_into_its_folders", || {
        let site = Configured::new("");
        let mut sensor = site.start();
        let mut threads = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", sensor.id())).unwrap() {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                let bits = status.lines().find_map(|l| l.strip_prefix(set)).unwrap().trim_start_matches(':').trim();
                assert_eq!(bits, "0000000000000000", "{set} of a thread:\n{status}");
            }
            assert!(status.contains("NoNewPrivs:\t1"), "{status}");
            threads += 1;
        }
        assert!(threads >= 5, "{threads} threads, the web's among them");
        let sent = frames(&["protocol/dns-udp.pcap"]);
        replay(&sent, 10);
        sensor.until_received(sent.len());

        // Somebody who can write into the log folder must not make the sensor write elsewhere.
        let elsewhere = site.at("elsewhere.jsonl");
        fs::write(&elsewhere, "mine\n").unwrap();
        let facts = site.log().join("facts.jsonl");
        shell(&format!("mv {0} {0}.away && ln -s {1} {0}", facts.display(), elsewhere.display()));
        sensor.signal("HUP");
        sensor.until("it has reloaded", |s| s["config"]["reloads"] == 1);
        replay(&sent, 10);
        let status = sensor.until("the log fails", |s| !s["log"]["failing"].is_null());
        assert!(status["log"]["failing"].as_str().unwrap().contains("Permission denied"), "{status}");
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine\n", "written to another folder");
        assert!(site.get("/-/ready").contains("Permission denied"));
        fs::remove_file(&facts).unwrap();
        sensor.until("the log works again", |s| s["log"]["failing"].is_null() && s["log"]["waiting"] == 0);
        let (code, _, said) = sensor.stop();
        assert_eq!(code.code(), Some(0), "{said}");
        if said.contains("without landlock") {
            panic!("this kernel has no landlock, yet the write was refused");
        }
        assert!(!text(&site.log(), "facts.jsonl").is_empty());
        println!("{threads} threads without capabilities; a write outside was refused, and the records waited");
    });
}
