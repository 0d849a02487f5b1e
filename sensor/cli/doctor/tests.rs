//! Machines made of files: sick ones are told so, with what mends them; a sound one is left in peace.

use super::{CHECKS, Level, Machine, Scene, examine, json, lines};
use crate::config::Loaded;
use std::fs;
use std::path::Path;

const SOUND: &[(&str, &str)] = &[
    ("proc/self/status", "Name:\tyukue\nCapEff:\t0000000000002000\n"),
    ("sys/class/net/span0/operstate", "up\n"),
    ("sys/class/net/span0/carrier", "1\n"),
    ("sys/class/net/span0/speed", "10000\n"),
    ("sys/class/net/span0/flags", "0x1103\n"),
    ("sys/class/net/span0/statistics/rx_packets", "1000000\n"),
    ("sys/class/net/span0/statistics/rx_dropped", "0\n"),
    ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
    ("state/x", ""),
    ("log/x", ""),
];

const ANSWERS: &[(&str, &str)] = &[
    ("ethtool -k span0", "Features for span0:\ngeneric-receive-offload: off\nlarge-receive-offload: off [fixed]\n"),
    (
        "ethtool -g span0",
        "Ring parameters for span0:\nPre-set maximums:\nRX:\t\t4096\nTX:\t\t4096\nCurrent hardware settings:\nRX:\t\t4096\nTX:\t\t512\n",
    ),
    ("chronyc -c tracking", "C0A80001,ntp.example,3,1700000000.1,0.000020,0.0,0.0,1.0,0.0,0.0,0.0,0.0,64.0,Normal\n"),
];

/// A sound machine; its configuration is read once, which takes longest.
fn sound(root: &Path) -> Scene {
    let path = root.join("yukue.toml");
    let text = "[[capture]]\ninterface = \"span0\"\n[paths]\nsite = \"site.toml\"\nstate = \"state\"\nlog = \"log\"\n";
    fs::write(&path, text).unwrap();
    fs::write(root.join("site.toml"), "inside = [\"10.0.0.0/8\"]\n").unwrap();
    let mut loaded = Loaded::read(&path).unwrap();
    // As on the machine itself, whose root is not the test's.
    loaded.config.parts.paths.state = "/state".into();
    loaded.config.parts.paths.log = "/log".into();
    Scene {
        machine: Machine::made(root, ANSWERS),
        config: Some(Ok(loaded)),
        interfaces: vec!["span0".to_owned()],
        seen: Err("none".to_owned()),
        now_s: 1_700_000_000,
    }
}

/// The machine with other files and answers (an empty one: the program is not there), and what is seen of its traffic.
fn change(scene: &mut Scene, root: &Path, files: &[(&str, &str)], answers: &[(&str, &str)], seen: Option<&str>) {
    for (path, text) in SOUND.iter().chain(files) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let kept = ANSWERS.iter().filter(|(asked, _)| answers.iter().all(|(other, _)| other != asked));
    let all: Vec<_> = kept.chain(answers.iter().filter(|(_, said)| !said.is_empty())).copied().collect();
    scene.machine = Machine::made(root, &all);
    scene.seen = seen.map_or_else(|| Err("none".to_owned()), |text| Ok(serde_json::from_str(text).unwrap()));
}

const RUNNING: &str = r#"{"updated_ns":1699999999000000000,"phase":"capturing","packets":{"packets":1000,"duplicates":3},
    "flows":{"closed":100,"one_way":2},"interfaces":[{"name":"span0","kernel_dropped":0,"shed_bulk":0,"shed_first":0}]}"#;

#[test]
fn each_trouble_is_told_with_what_mends_it() {
    type Case<'a> =
        (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], Option<&'a str>, Level, &'a str, &'a str);
    let net = "sys/class/net/span0";
    let file = |name: &str| format!("{net}/{name}");
    let (state, carrier, dropped) = (file("operstate"), file("carrier"), file("statistics/rx_dropped"));
    let cases: &[Case<'_>] = &[
        ("no capability", &[("proc/self/status", "CapEff:\t0\n")], &[], None, Level::Warn, "may not open", "setcap"),
        ("down", &[(state.as_str(), "down")], &[], None, Level::Fail, "span0: down", "ip link set dev span0 up"),
        ("no cable", &[(carrier.as_str(), "0")], &[], None, Level::Fail, "no link", "cable"),
        (
            "GRO",
            &[],
            &[("ethtool -k span0", "generic-receive-offload: on\n")],
            None,
            Level::Fail,
            "generic-receive-offload is on",
            "ethtool -K span0 gro off",
        ),
        (
            "hardware GRO",
            &[],
            &[("ethtool -k span0", "rx-gro-hw: on\n")],
            None,
            Level::Fail,
            "look cut",
            "ethtool -K span0 rx-gro-hw off",
        ),
        ("no ethtool", &[], &[("ethtool -k span0", "")], None, Level::Unknown, "ethtool is not installed", ""),
        (
            "a small ring",
            &[],
            &[("ethtool -g span0", "RX: 4096\nRX: 512\n")],
            None,
            Level::Warn,
            "512 packets of 4096",
            "ethtool -G span0 rx 4096",
        ),
        ("some losses", &[(dropped.as_str(), "10")], &[], None, Level::Warn, "rx_dropped 10", "ethtool -S span0"),
        ("many losses", &[(dropped.as_str(), "20000")], &[], None, Level::Fail, "rx_dropped 20000", "ethtool -S span0"),
        ("no sensor", &[], &[], None, Level::Unknown, "no running sensor", ""),
        (
            "a sensor that died",
            &[],
            &[],
            Some(r#"{"updated_ns":1,"phase":"capturing"}"#),
            Level::Fail,
            "does not run",
            "systemctl status yukue",
        ),
        (
            "a full ring",
            &[],
            &[],
            Some(r#"{"updated_ns":1699999999000000000,"interfaces":[{"name":"span0","kernel_dropped":5}]}"#),
            Level::Warn,
            "5 packets found no room",
            "buffer_bytes",
        ),
        (
            "copies",
            &[],
            &[],
            Some(r#"{"packets":{"packets":100,"duplicates":12}}"#),
            Level::Warn,
            "12 % of packets came twice",
            "once",
        ),
        (
            "copies in a run",
            &[],
            &[],
            Some(r#"{"packets":100,"visibility":{"duplicate_packets":50}}"#),
            Level::Warn,
            "50 % of packets",
            "once",
        ),
        (
            "one direction",
            &[],
            &[],
            Some(r#"{"flows":{"closed":100,"one_way":38}}"#),
            Level::Fail,
            "38 % of flows",
            "both directions",
        ),
        (
            "no clock",
            &[],
            &[("chronyc -c tracking", ""), ("timedatectl show -p NTPSynchronized --value", "no\n")],
            None,
            Level::Fail,
            "not synchronised",
            "chrony",
        ),
        (
            "a slow clock source",
            &[("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet")],
            &[],
            None,
            Level::Warn,
            "hpet",
            "available_clocksource",
        ),
        ("shipped tables only", &[], &[], None, Level::Warn, "only the tables shipped", "intel import"),
    ];
    let root = tempfile::tempdir().unwrap();
    let mut scene = sound(root.path());
    for (what, files, answers, seen, level, said, mend) in cases {
        change(&mut scene, root.path(), files, answers, *seen);
        let verdicts = examine(&scene);
        let told = verdicts.iter().any(|(_, verdict)| {
            verdict.level == *level
                && verdict.said.contains(said)
                && (mend.is_empty() || verdict.mend.as_ref().is_some_and(|m| m.contains(mend)))
        });
        assert!(told, "{what}: {}", lines(&verdicts, false));
    }
}

#[test]
fn a_sound_machine_is_left_in_peace_and_both_forms_say_the_same() {
    let root = tempfile::tempdir().unwrap();
    let mut scene = sound(root.path());
    change(&mut scene, root.path(), &[], &[], Some(RUNNING));
    let verdicts = examine(&scene);
    let troubled: Vec<_> =
        verdicts.iter().filter(|(name, v)| v.level != Level::Ok && !["intelligence", "disk"].contains(name)).collect();
    assert!(troubled.is_empty(), "{troubled:?}");
    for (name, _) in CHECKS {
        assert!(verdicts.iter().any(|(told, _)| told == name), "{name} says nothing");
    }
    let document: serde_json::Value = serde_json::from_str(&json(&verdicts)).unwrap();
    assert_eq!(document["checks"].as_array().unwrap().len(), verdicts.len());
    assert_eq!(document["checks"][0]["level"], "ok");
    let hostile = [("x", super::Verdict::ok("a\u{1b}[2Jb\nc"))];
    assert!(!lines(&hostile, false).trim_end().contains(['\u{1b}', '\n']));
}
