//! `yukue baseline` from outside: learned, looked at, carried, judged against; killed while it writes; damaged.

use crate::support::{bless, root, values, yukue};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

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

/// Poisoned learning: an attack that was learned from is usual from then on, until somebody goes back to the week before.
#[test]
fn what_was_learned_and_should_not_have_been_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, clean) = (folder.path().join("b"), folder.path().join("clean"));
    run(&["baseline", "learn", OFFICE, "--out", text(&path)], 0);
    assert!(run(&["baseline", "snapshots", text(&path)], 0).contains("no week of it was kept yet"));
    fs::copy(&path, &clean).unwrap();
    let before = run(&["baseline", "show", text(&path)], 0);
    for _ in 0..2 {
        run(&["baseline", "learn", CAMPAIGN, "--out", text(&path)], 0);
    }
    let poison = run(&["baseline", "diff", text(&clean), text(&path)], 0);
    assert!(poison.contains("+ destination") && poison.contains("yukue-test-stg7"), "{poison}");
    let listed = run(&["baseline", "snapshots", text(&path)], 0);
    assert_eq!(listed.lines().count(), 1, "the second one came within the week: {listed}");
    assert!(listed.contains("sha256") && listed.contains("signed by ") && !listed.contains("NOT"), "{listed}");
    let another = ["baseline", "rollback", text(&path), "--to", "2099-01-01", "--signed-by", &"0f".repeat(32)];
    assert!(run(&another, 2).contains("not by 0f0f"), "only what the key signed that is trusted");

    assert!(run(&["baseline", "rollback", text(&path), "--to", "2001-01-01"], 2).contains("no snapshot of"));
    let done = run(&["baseline", "rollback", text(&path), "--to", "2099-01-01"], 0);
    assert!(done.contains("back to ") && done.contains("b.rolled-back"), "{done}");
    assert_eq!(run(&["baseline", "diff", text(&clean), text(&path)], 0), "");
    assert_eq!(run(&["baseline", "show", text(&path)], 0), before);
    let undone = run(&["baseline", "diff", text(&path), &format!("{}.rolled-back", text(&path))], 0);
    assert_eq!(undone, poison, "what was learned lies aside, whole");
    let out = tempfile::tempdir().unwrap();
    run(&["analyze", CAMPAIGN, "--baseline", text(&path), "--out", text(out.path())], 0);
    let alerts = values(&fs::read_to_string(out.path().join("alerts.jsonl")).unwrap());
    assert!(alerts.iter().any(|alert| alert["kind"] == "staging_campaign"), "it is new again: {alerts:?}");
    assert!(run(&["baseline", "rollback", text(&path), "--to", "2099-01-01"], 2).contains("move it away first"));
}

/// Somebody saves in the baseline and has it to himself; what it was a week ago can be looked at all the while.
#[test]
fn a_baseline_in_use_shows_its_newest_snapshot_and_of_when_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b");
    run(&["baseline", "learn", OFFICE, "--out", text(&path)], 0);
    let before = run(&["baseline", "show", text(&path)], 0);
    let mut sensor = Command::new(env!("CARGO_BIN_EXE_yukue"))
        .args(["-q", "baseline", "learn", "-", "--out", text(&path)])
        .current_dir(root())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = sensor.stdin.take().unwrap();
    input.write_all(&fs::read(root().join(CAMPAIGN)).unwrap()).unwrap();
    let shown = (0..2000).find_map(|_| {
        let shown = run_any(&["baseline", "show", text(&path)]);
        shown.starts_with("in use by a running sensor").then_some(shown)
    });
    let shown = shown.expect("somebody holds it, and its week was kept");
    let (head, rest) = shown.split_once('\n').unwrap();
    assert!(head.contains("snapshot of 20") && head.contains("b.snapshot-20"), "{head}");
    assert_eq!(rest, before);
    assert!(run(&["baseline", "rollback", text(&path), "--to", "2099-01-01"], 2).contains("in use"));
    drop(input);
    assert!(sensor.wait().unwrap().success());
    assert!(!run(&["baseline", "show", text(&path)], 0).contains("in use"));
    let kept = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.into_iter().find(|path| text(path).contains(".snapshot-20")).unwrap();
    assert_eq!(run(&["baseline", "show", text(&kept)], 0), before, "a snapshot shows itself");
    let mut bytes = fs::read(&kept).unwrap();
    bytes[100] ^= 1;
    fs::write(&kept, bytes).unwrap();
    assert!(
        run(&["baseline", "snapshots", text(&path)], 0).contains("is damaged: its SHA-256"),
        "and says when it is not whole"
    );
}

/// Runs the program; what it printed comes back, whatever it ended with.
fn run_any(arguments: &[&str]) -> String {
    let output = yukue(arguments);
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
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

#[test]
fn what_no_run_would_go_on_from_is_not_imported() {
    let folder = tempfile::tempdir().unwrap();
    let (learned, json, out) = (folder.path().join("b"), folder.path().join("b.json"), folder.path().join("c"));
    run(&["baseline", "learn", OFFICE, "--out", text(&learned)], 0);
    let exported = run(&["--quiet", "baseline", "export", text(&learned)], 0);
    let written: Value = serde_json::from_str(&exported).unwrap();
    let usual = written["records"].as_array().unwrap().iter().find(|record| record["kind"] == "calibration").unwrap();
    let without_a_score = json!({ "kind": "calibration", "key": [999, 0], "bytes": usual["bytes"] });
    for (what, record) in [
        ("usual scores of nothing", without_a_score),
        ("no alert", json!({ "kind": "alert", "key": [999, 0], "bytes": "ff" })),
    ] {
        let mut written = written.clone();
        written["records"].as_array_mut().unwrap().push(record);
        fs::write(&json, written.to_string()).unwrap();
        let said = run(&["baseline", "import", text(&json), "--out", text(&out)], 2);
        assert!(said.contains("no run would go on") && !out.exists(), "{what}: {said}");
    }
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
