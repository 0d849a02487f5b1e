//! How long people wait: the attack minutes of the shipped campaign at the pace they had.

use crate::veth::{Sensor, Watch, cut, frames, pause, replay, text, values, within};
use std::time::Duration;

#[test]
fn a_campaign_is_told_within_a_minute_of_its_third_endpoint() {
    within("lag::a_campaign_is_told_within_a_minute_of_its_third_endpoint", || {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        // From the first push to half a minute after the third endpoint's call to the outside.
        let sent = cut(frames(&["attack/staging-antivirus-push.pcap"]), CUT);
        let mut sensor = Sensor::start(&log, &["--inside", "10.20.0.0/16"]);
        let told = std::thread::scope(|scope| {
            scope.spawn(|| replay(&sent, 1));
            let watch = Watch::start();
            loop {
                let alerts = values(&text(&log, "alerts.jsonl"));
                if let Some(alert) = alerts.into_iter().find(|alert| alert["kind"] == "staging_campaign") {
                    break alert;
                }
                assert!(watch.elapsed() < Duration::from_secs(240), "no alert: {:?}", sensor.status());
                pause(Duration::from_millis(100));
            }
        });
        let status = sensor.until("the lag is counted", |s| s["detection_lag"]["count"].as_u64().unwrap() > 0);
        let mut seen: Vec<f64> = told["scope"]["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|host| host["first_seen"].as_f64().unwrap())
            .collect();
        seen.sort_by(f64::total_cmp);
        let lag = told["time"].as_f64().unwrap() - seen[2];
        assert!(told["severity"] == "critical" && told["scope"]["servers"][0]["ip"] == "10.20.0.10", "{told}");
        assert!((0.0..=60.0).contains(&lag), "told {lag} s of event time after the third endpoint: {told}");
        let waited = status["detection_lag"]["max_s"].as_f64().unwrap();
        assert!(waited <= 60.0, "by the clock: {status}");
        assert_eq!(sensor.stop().0.code(), Some(0));
        println!(
            "told {lag:.1} s of event time after the third of {} endpoints, {waited:.1} s by the clock after the last sign",
            seen.len()
        );
    });
}

/// Seconds from the capture's beginning.
const CUT: std::ops::Range<u64> = 4426..4528;
