//! `yukue baseline` from outside: learned, looked at, carried, judged against; killed while it writes; damaged.

use crate::support::{bless, root, values, yukue};
use serde_json::Value;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

const OFFICE: &str = "pcaps/benign/office-day.pcap";
const UPDATES: &str = "pcaps/benign/ntp-and-updates.pcap";
const CAMPAIGN: &str = "pcaps/attack/staging-antivirus-push.pcap";

/// Runs the program and wants it to end with this code; what it printed comes back.
fn run(arguments: &[&str], code: i32) -> String {
    let output = yukue(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap() + &said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_baseline_is_learned_shown_compared_carried_and_merged() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (office, updates, copy, both) = (file("office"), file("updates"), file("copy"), file("both"));
    run(&["baseline", "learn", OFFICE, "--out", text(&office)], 0);
    run(&["baseline", "learn", UPDATES, "--out", text(&updates)], 0);
    let shown = run(&["baseline", "show", text(&office)], 0);
    assert!(shown.contains("destination owners"), "{shown}");
    assert_eq!(run(&["baseline", "diff", text(&office), text(&office)], 0), "");
    let apart = run(&["baseline", "diff", text(&office), text(&updates)], 0);
    assert!(apart.lines().any(|line| line.starts_with("- destination ")), "{apart}");

    let json = file("office.json");
    fs::write(&json, run(&["--quiet", "baseline", "export", text(&office)], 0)).unwrap();
    run(&["baseline", "import", text(&json), "--out", text(&copy)], 0);
    assert_eq!(run(&["baseline", "show", text(&copy)], 0), shown);
    run(&["baseline", "import", text(&json), "--out", text(&copy)], 2);

    let index = |path: &Path| -> Vec<Value> {
        let text = run(&["--quiet", "baseline", "export", text(path)], 0);
        serde_json::from_str::<Value>(&text).unwrap()["index"].as_array().unwrap().clone()
    };
    assert!(!index(&office).is_empty() && index(&copy) == index(&office), "who met whom is carried along");

    run(&["baseline", "merge", text(&office), text(&updates), "--out", text(&both)], 0);
    let (one, two, joint) = (index(&office).len(), index(&updates).len(), index(&both).len());
    assert!(joint >= one.max(two) && joint <= one + two, "{one} and {two} pairs make {joint}");
    let twice = file("twice");
    run(&["baseline", "merge", text(&office), text(&office), "--out", text(&twice)], 0);
    assert_eq!(index(&twice), index(&office), "nothing is counted twice");
    let lost = run(&["baseline", "diff", text(&office), text(&both)], 0);
    assert!(!lost.lines().any(|line| line.starts_with('-')), "a merged baseline lacks {lost}");

    let person = ["--owner", "kim", "--reason", "our new mail", "--expires", "2099-12-31"];
    let approve =
        [["baseline", "approve", text(&office), "--destination", "mail.example"].as_slice(), &person].concat();
    run(&approve, 0);
    assert!(run(&["baseline", "show", text(&office)], 0).contains("our new mail (kim)"));
    run(&["baseline", "learn", UPDATES, "--out", text(&office)], 0);
    assert!(run(&["baseline", "show", text(&office)], 0).contains("our new mail (kim)"), "learning on keeps it");
}

#[test]
fn the_campaign_is_told_against_what_the_office_usually_does() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("office");
    run(&["baseline", "learn", OFFICE, "--out", text(&baseline)], 0);
    let judged = |arguments: &[&str]| -> (Value, Vec<Value>) {
        let out = tempfile::tempdir().unwrap();
        run(&[["analyze", CAMPAIGN, "--out", text(out.path())].as_slice(), arguments].concat(), 0);
        let summary = fs::read_to_string(out.path().join("summary.json")).unwrap();
        let alerts = fs::read_to_string(out.path().join("alerts.jsonl")).unwrap();
        (serde_json::from_str(&summary).unwrap(), values(&alerts))
    };
    let (alone, _) = judged(&[]);
    let (against, alerts) = judged(&["--baseline", text(&baseline)]);
    let known = |summary: &Value| -> u64 {
        summary["baseline_hosts"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
    };
    assert!(known(&against) >= known(&alone), "{against}");
    let campaign = alerts.iter().find(|alert| alert["kind"] == "staging_campaign").expect("the campaign");
    assert_eq!(campaign["entities"][0]["ip"], "10.20.0.10");
    let (later, told) = judged(&["--baseline", text(&baseline), "--learn-until", "2099-01-01"]);
    assert!(told.is_empty(), "everything was to be learned from: {told:?}");
    assert_eq!(later["alerts"]["critical"], 0);
}

#[test]
fn a_sensor_killed_while_it_saves_goes_on_from_its_last_save() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b");
    let learn =
        [env!("CARGO_BIN_EXE_yukue"), "-q", "baseline", "learn", OFFICE, "-o", text(&path), "--save-every-s", "1"];
    let (mut killed, mut saved, mut seed) = (0, false, 11_u64);
    for _ in 0..25 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = format!("0.{:03}", 20 + (seed >> 33) % 900);
        let child =
            Command::new("timeout").args(["-s", "KILL", &after]).args(learn).current_dir(root()).output().unwrap();
        killed += u32::from(!child.status.success());
        let shown = yukue(&["baseline", "show", text(&path)]);
        let said = String::from_utf8_lossy(&shown.stderr);
        if shown.status.success() {
            saved = true;
        } else {
            let early =
                said.contains("holds nothing") || said.contains("does not exist") || said.contains("No such file");
            assert!(!saved && early, "after {after} s: {said}");
        }
    }
    assert!(killed > 0, "nobody was killed");
    run(&learn[1..], 0);
    run(&["baseline", "show", text(&path)], 0);
}

#[test]
fn a_damaged_baseline_is_refused_left_alone_and_moved_aside_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b");
    fs::write(&path, vec![7; 100_000]).unwrap();
    for arguments in [
        ["analyze", UPDATES, "--baseline", text(&path)].as_slice(),
        &["baseline", "show", text(&path)],
        &["baseline", "learn", UPDATES, "--out", text(&path)],
    ] {
        assert!(run(arguments, 2).contains("damaged"), "{arguments:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), vec![7; 100_000], "nobody touched it");
    assert!(run(&["analyze", UPDATES, "--baseline", "no/such/baseline"], 2).contains("no/such/baseline"));
    run(&["baseline", "learn", UPDATES, "--out", text(&path), "--force"], 0);
    assert_eq!(fs::read(folder.path().join("b.damaged-1")).unwrap(), vec![7; 100_000]);
    run(&["baseline", "show", text(&path)], 0);
}

/// What each version wrote stays readable; `BLESS=1` writes a file only when there is none.
#[test]
fn a_baseline_of_every_version_is_still_read() {
    for version in 1..=3 {
        let kept = root().join(format!("tests/expected/baseline-{version}.gz"));
        let shown = root().join(format!("tests/expected/baseline-{version}.txt"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        if bless() && !kept.exists() {
            run(&["baseline", "learn", UPDATES, CAMPAIGN, "--out", text(&path)], 0);
            let mut packed =
                flate2::write::GzEncoder::new(fs::File::create(&kept).unwrap(), flate2::Compression::best());
            std::io::copy(&mut fs::File::open(&path).unwrap(), &mut packed).unwrap();
            packed.finish().unwrap();
        }
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(fs::File::open(&kept).unwrap()).read_to_end(&mut bytes).unwrap();
        fs::write(&path, bytes).unwrap();
        let said = run(&["baseline", "show", text(&path)], 0);
        if bless() {
            fs::write(&shown, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&shown).unwrap(), "version {version}");
        run(&["analyze", UPDATES, "--baseline", text(&path)], 0);
        run(&["baseline", "learn", UPDATES, "--out", text(&path)], 0);
    }
}
