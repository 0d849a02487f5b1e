//! The program from outside: exit codes, messages, what it prints and what it refuses.

use crate::support::{root, rule_stems, yukue};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

const VISIT: &str = "pcaps/protocol/vlan-single.pcap";
const CHAIN: &str = "pcaps/attack/execution-chain-svcctl.pcap";

#[test]
fn exit_codes_are_those_of_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let text = file("notes.pcap", b"this is no capture at all\n");
    let empty = file("empty.pcap", &fs::read(root().join(VISIT)).unwrap()[..24]);
    let torn = file("torn.pcap", &fs::read(root().join(VISIT)).unwrap()[..40]);
    let cases: &[(&str, &[&str], i32)] = &[
        ("a capture", &["analyze", VISIT], 0),
        ("help", &["--help"], 0),
        ("help of a subcommand", &["analyze", "--help"], 0),
        ("no subcommand", &[], 2),
        ("a flag that does not exist", &["analyze", "--nonsense", VISIT], 2),
        ("no input", &["analyze"], 2),
        ("an input that is missing", &["analyze", "no/such/file.pcap"], 2),
        ("an input that is no capture", &["analyze", &text], 2),
        ("an inside that is no prefix", &["analyze", VISIT, "--inside", "10.0.0.0/64"], 2),
        ("a filter that is none", &["analyze", VISIT, "--filter", "tcp and and"], 2),
        ("a capture without packets", &["analyze", &empty], 0),
        ("a good magic, then nothing readable", &["analyze", &torn], 4),
        ("a cut capture", &["analyze", "pcaps/hostile/record-cut.pcap"], 4),
        ("a capture that is damaged in the middle", &["analyze", "pcaps/hostile/record-giant.pcap"], 4),
        ("an alert as severe as asked for", &["analyze", CHAIN, "--fail-on", "high"], 3),
        ("an alert less severe", &["analyze", CHAIN, "--fail-on", "critical"], 0),
        ("an alert in damaged input", &["analyze", CHAIN, "pcaps/hostile/record-cut.pcap", "--fail-on", "high"], 3),
    ];
    let wrong: Vec<String> = crate::support::parallel(cases, |(what, arguments, code)| {
        let output = yukue(arguments);
        (output.status.code() != Some(*code)).then(|| format!("{what}: {output:?}, {code} expected"))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn messages_name_what_is_wrong() {
    for (arguments, words) in [
        (["analyze", "no/such/file.pcap"].as_slice(), "no/such/file.pcap"),
        (&["analyze", "Cargo.toml"], "Cargo.toml"),
        (&["analyze", VISIT, "--filter", "tcp and and"], "--filter"),
        (&["analyze", VISIT, "--fail-on", "awful"], "critical"),
    ] {
        let output = yukue(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words), "{arguments:?} says: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?} prints an error as a result");
    }
}

#[test]
fn a_folder_that_is_not_empty_is_refused_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.txt"), "keep me").unwrap();
    let out = folder.path().to_str().unwrap();
    let refused = yukue(&["analyze", VISIT, "--out", out]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let forced = yukue(&["analyze", VISIT, "--out", out, "--force"]);
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
    for name in ["flows.jsonl", "facts.jsonl", "findings.jsonl", "alerts.jsonl", "summary.json"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("mine.txt")).unwrap(), "keep me");
}

#[test]
fn standard_input_gives_the_records_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut child = Command::new(env!("CARGO_BIN_EXE_yukue"))
        .args(["--quiet", "analyze", "-", "--out", out.to_str().unwrap()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(root().join(VISIT)).unwrap()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let run = crate::support::analyze(VISIT, &[]);
    assert_eq!(fs::read_to_string(out.join("flows.jsonl")).unwrap(), run.flows);
    assert_eq!(fs::read_to_string(out.join("facts.jsonl")).unwrap(), run.facts);
}

#[test]
fn a_filter_keeps_what_it_matches() {
    let run = crate::support::analyze(VISIT, &["--filter", "vlan and udp port 53"]);
    assert_eq!((run.flows.lines().count(), run.facts.lines().count()), (1, 1), "{}{}", run.flows, run.facts);
    assert!(run.flows.contains("\"id.resp_p\":53"), "{}", run.flows);
}

#[test]
fn json_is_one_document_and_quiet_is_quiet() {
    let output = yukue(&["analyze", CHAIN, "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["alerts"].as_array().unwrap().len(), 1, "{document}");
    let output = yukue(&["--quiet", "analyze", CHAIN]);
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn colour_is_for_those_who_want_it() {
    let escapes = |output: std::process::Output| output.stdout.contains(&0x1b);
    assert!(!escapes(yukue(&["analyze", CHAIN])), "a pipe gets no colour");
    assert!(escapes(yukue(&["--color", "always", "analyze", CHAIN])), "colour when asked for");
    let output = Command::new(env!("CARGO_BIN_EXE_yukue"))
        .args(["analyze", CHAIN])
        .current_dir(root())
        .envs([("NO_COLOR", "1"), ("CLICOLOR", "1")])
        .output()
        .unwrap();
    assert!(!escapes(output), "NO_COLOR counts");
}

#[test]
fn hostile_text_reaches_no_terminal() {
    let capture = "pcaps/hostile/text-escapes.pcap";
    let printed = yukue(&["analyze", capture]);
    let run = crate::support::analyze(capture, &[]);
    let everything = [&printed.stdout[..], &printed.stderr, run.facts.as_bytes(), run.flows.as_bytes()].concat();
    let text = String::from_utf8(everything).unwrap();
    let obeyed =
        |c: &char| c.is_control() && *c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.chars().any(|c| obeyed(&c)), "{text:?}");
    assert!(text.contains("escapes.example"), "{text}");
}

#[test]
fn own_tables_and_feeds_are_taken_and_a_broken_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (own, file) = (folder.path().join("intel"), folder.path().join("meta.json"));
    let own = own.to_str().unwrap();
    let hooks = |n: usize| {
        let nets: Vec<String> = (0..n).map(|at| format!(r#""198.18.{at}.0/24""#)).collect();
        format!(r#"{{"hooks":[{}]}}"#, nets.join(","))
    };
    let import = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        let path = file.to_str().unwrap();
        yukue(&[&["intel", "import", "github", path, "--out", own], more].concat())
    };
    let date = ["--date", "2026-11-01"];
    let undated = import(&hooks(20), &[]);
    assert!(String::from_utf8_lossy(&undated.stderr).contains("--date"), "it does not say when it is from");
    assert_eq!(import(&hooks(20), &date).status.code(), Some(0));
    let shrunk = import(&hooks(5), &date);
    assert_eq!(shrunk.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&shrunk.stderr).contains("5 rows would replace 20"));
    assert_eq!(import("<html>", &date).status.code(), Some(2));
    assert_eq!(import(&hooks(5), &["--date", "2026-11-01", "--force"]).status.code(), Some(0));
    let table = fs::read_to_string(format!("{own}/cloud_ranges.csv")).unwrap();
    assert_eq!(table.lines().filter(|line| line.contains(",github,")).count(), 5);

    fs::create_dir(format!("{own}/feeds")).unwrap();
    fs::write(format!("{own}/feeds/partners.txt"), "# nothing but a comment\n").unwrap();
    let empty = yukue(&["analyze", CHAIN, "--intel", own]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&empty.stderr).contains("partners.txt: no name, address or URL"));
    fs::write(format!("{own}/feeds/partners.txt"), "203.0.113.0/24\n198.51.100.0/24\nexample.com\n").unwrap();
    let listed = yukue(&["analyze", CHAIN, "--intel", own, "--json"]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(text.contains(r#""detector":"feed""#) || text.contains(r#""detector": "feed""#), "{text}");
}

/// What a change would have hidden of stored records, without their packets.
#[test]
fn a_change_of_rules_is_held_against_what_was_told_before() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (run, rules, site) = (at("run"), at("rules"), at("site.toml"));
    let campaign = "pcaps/attack/staging-antivirus-push.pcap";
    assert_eq!(yukue(&["analyze", CHAIN, "--out", &run, "--quiet"]).status.code(), Some(0));
    let stored = |name: &str| fs::read_to_string(format!("{run}/{name}")).unwrap();
    let findings = stored("findings.jsonl").lines().count();
    let preview = |more: &[&str], code: i32| {
        let done = yukue(&[&["rules", "preview", "--rules", &rules], more].concat());
        let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert_eq!(done.status.code(), Some(code), "{text}");
        text
    };
    fs::create_dir(&rules).unwrap();
    let same = preview(&[&run], 0);
    assert_eq!(same, format!("no record changes\n1 alerts and {findings} findings read\n"));
    let shipped = |stem: &str| fs::read_to_string(root().join(format!("rules/{stem}.toml"))).unwrap();
    let change = |stem: &str, from: &str, to: &str| {
        let text = shipped(stem);
        assert!(text.contains(from), "{stem}: {from}");
        fs::write(format!("{rules}/{stem}.toml"), text.replace(from, to)).unwrap();
    };
    let id = stored("alerts.jsonl").split('"').nth(3).unwrap().to_owned();
    for (what, stem, from, to, said) in [
        ("off", "execution_chain", "enabled = true", "enabled = false", format!("hidden     high     {id} ")),
        (
            "a rung no sum reaches",
            "execution_chain",
            "high_nats = 10.0",
            "high_nats = 99.0",
            format!("quieter    high     {id} "),
        ),
        (
            "a key no record holds",
            "execution_chain",
            "script_nats = 2.0",
            "script_nats = 1.0",
            "execution_chain.script_nats: records do not hold".to_owned(),
        ),
        (
            "a wider gate",
            "beacon",
            "max_p = 0.001",
            "max_p = 0.01",
            "beacon.max_p: what it would have brought was not told".to_owned(),
        ),
    ] {
        change(stem, from, to);
        let told = preview(&[&run], 0);
        assert!(told.contains(&said), "{what}: {told}");
        fs::remove_file(format!("{rules}/{stem}.toml")).unwrap();
    }

    let entry =
        "[[allow]]\nverb = \"svcctl\"\nowner = \"ops\"\nreason = \"our patch tool\"\nexpires = \"2099-12-31\"\n";
    fs::write(format!("{rules}/allow.toml"), entry).unwrap();
    let from_records = preview(&[&format!("{run}/alerts.jsonl")], 0);
    let from_packets = preview(&[CHAIN], 0);
    assert!(from_packets.starts_with("allowed    high"), "{from_packets}");
    assert!(from_records.starts_with(&from_packets), "records and packets agree: {from_records}");
    let server = stored("alerts.jsonl")
        .split("\"role\":\"staging_server\",\"ip\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    fs::write(&site, format!("[[host]]\naddress = [\"{server}\"]\nroles = [\"backup\"]\n")).unwrap();
    let managed = preview(&[&run, "--site", &site], 0);
    assert!(managed.starts_with("no record changes"), "an entry that names nobody does not reach a manager: {managed}");
    assert!(preview(&[&run, campaign], 2).contains("records are held against rules alone"));
    fs::write(format!("{run}/alerts.jsonl"), "{\"id\": 1}\n").unwrap();
    assert!(preview(&[&run], 2).contains("alerts.jsonl, line 1: no alert or finding"));
}

/// A timer's probability and the sum of its weights are in its record: a threshold that was raised is held against them.
#[test]
fn a_raised_threshold_hides_the_stored_findings_that_a_replay_would_hide() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (run, again, rules) = (at("run"), at("again"), at("rules"));
    let capture = "pcaps/attack/staging-antivirus-push.pcap";
    fs::create_dir(&rules).unwrap();
    let text = fs::read_to_string(root().join("rules/beacon.toml")).unwrap();
    fs::write(format!("{rules}/beacon.toml"), text.replace("max_p = 0.001", "max_p = 0.0000027")).unwrap();
    let beacons = |folder: &str| -> std::collections::BTreeSet<String> {
        let text = fs::read_to_string(format!("{folder}/findings.jsonl")).unwrap();
        let beacons = text.lines().filter(|line| line.contains("\"detector\":\"beacon\""));
        beacons.map(|line| line.split('"').nth(3).unwrap().to_owned()).collect()
    };
    assert_eq!(yukue(&["analyze", capture, "--out", &run, "--quiet"]).status.code(), Some(0));
    assert_eq!(yukue(&["analyze", capture, "--out", &again, "--quiet", "--rules", &rules]).status.code(), Some(0));
    let gone: std::collections::BTreeSet<String> = beacons(&run).difference(&beacons(&again)).cloned().collect();
    assert!(!gone.is_empty() && gone.len() < beacons(&run).len(), "some of them: {gone:?}");
    let told = yukue(&["rules", "preview", &run, "--rules", &rules]).stdout;
    let told = String::from_utf8(told).unwrap();
    let hidden = told.lines().filter(|line| line.starts_with("hidden") && line.contains("finding: "));
    let hidden: std::collections::BTreeSet<String> =
        hidden.map(|line| line.split_whitespace().nth(2).unwrap().to_owned()).collect();
    assert_eq!(hidden, gone, "{told}");
}

#[test]
fn rules_are_listed_shown_linted_tried_and_tested() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (rules, cases) = (at("rules"), at("cases"));
    let run = |args: &[&str]| {
        let done = yukue(args);
        let text = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, listed) = run(&["rules", "list"]);
    assert_eq!(code, Some(0));
    for stem in rule_stems() {
        assert!(listed.lines().any(|line| line.starts_with(&stem)), "{stem} is not listed");
    }
    let (code, shown) = run(&["rules", "show", "execution_chain"]);
    assert_eq!((code, shown), (Some(0), fs::read_to_string(root().join("rules/execution_chain.toml")).unwrap()));
    assert_eq!(run(&["rules", "show", "nonsense"]).0, Some(2));
    let (code, near) = run(&["rules", "show", "exectuion_chain"]);
    assert!(code == Some(2) && near.contains("perhaps `execution_chain` is meant"), "{near}");

    fs::create_dir(&rules).unwrap();
    fs::write(format!("{rules}/beacon.toml"), "enabled = true\nmax_pp = 0.1\n").unwrap();
    let (code, wrong) = run(&["rules", "lint", "--rules", &rules]);
    assert!(code == Some(2) && wrong.contains("perhaps `max_p` is meant"), "{wrong}");
    fs::remove_file(format!("{rules}/beacon.toml")).unwrap();

    let allow = |expires: &str| {
        let entry = "[[allow]]\nverb = \"svcctl\"\nowner = \"ops\"\nreason = \"our patch tool\"\n";
        fs::write(format!("{rules}/allow.toml"), format!("{entry}expires = \"{expires}\"\n")).unwrap();
    };
    allow("2020-01-01");
    let (code, expired) = run(&["rules", "lint", "--rules", &rules]);
    assert!(code == Some(2) && expired.contains("expired on 2020-01-01: our patch tool"), "{expired}");
    allow("2099-12-31");
    assert_eq!(run(&["rules", "lint", "--rules", &rules]).0, Some(0));
    let (_, preview) = run(&["rules", "preview", CHAIN, "--rules", &rules]);
    assert!(preview.starts_with("allowed    high"), "{preview}");
    let (_, none) = run(&["rules", "preview", CHAIN, "--rules", &rules, "--learn-until", "2099-01-01"]);
    assert_eq!(none, "no alert changes\n", "all of it was to be learned from");
    let (code, wrong) = run(&["rules", "preview", CHAIN, "--rules", &rules, "--baseline", CHAIN]);
    assert!(code == Some(2) && wrong.contains("is damaged"), "{wrong}");
    let (code, which) = run(&["rules", "preview", CHAIN]);
    assert!(code == Some(2) && which.contains("--rules DIR"), "{which}");
    let (code, labelled) = run(&["analyze", CHAIN, "--rules", &rules, "--fail-on", "high"]);
    assert!(code == Some(0) && labelled.contains("somebody answers for them"), "{labelled}");

    fs::create_dir(&cases).unwrap();
    fs::copy(root().join(CHAIN), format!("{cases}/chain.pcap")).unwrap();
    let expect = "[[alert]]\nkind = \"execution_chain\"\nleast = \"high\"\n";
    fs::write(format!("{cases}/chain.expect.toml"), expect).unwrap();
    assert_eq!(run(&["rules", "test", &cases]).0, Some(0));
    let (code, blinded) = run(&["rules", "test", &cases, "--rules", &rules]);
    assert!(code == Some(1) && blinded.contains("no execution_chain of high or more"), "{blinded}");
    fs::write(format!("{cases}/chain.expect.toml"), format!("baseline = \"none\"\n{expect}")).unwrap();
    let (code, missing) = run(&["rules", "test", &cases]);
    assert!(code == Some(2) && missing.contains("cases/none"), "{missing}");
    fs::write(format!("{cases}/chain.expect.toml"), "quiet = \"low\"\n").unwrap();
    assert_eq!(run(&["rules", "test", &cases]).0, Some(1), "it tells something");
}

#[test]
fn a_configuration_is_begun_checked_and_shown_and_a_wrong_line_is_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("yukue.toml");
    let file = path.to_str().unwrap();
    let run = |args: &[&str]| {
        let done = yukue(args);
        (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    };
    assert_eq!(run(&["config", "init", file]).0, Some(0));
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        fs::read_to_string(root().join("rules/yukue.example.toml")).unwrap()
    );
    assert_eq!(run(&["config", "init", file]).0, Some(2), "it overwrites");
    let (code, said) = run(&["config", "check", file]);
    assert!(code == Some(2) && said.contains("site.toml"), "the site file it names is not there: {said}");

    let told = folder.path().join("told.jsonl");
    let text =
        format!("[web]\nlisten = \"127.0.0.1:9478\"\n[[output]]\nname = \"file\"\ntype = \"jsonl\"\npath = {told:?}\n");
    fs::write(&path, &text).unwrap();
    let (code, said) = run(&["config", "check", file, "--send"]);
    assert!(code == Some(0) && said.contains("file: took the test alert"), "{said}");
    assert_eq!(fs::read_to_string(&told).unwrap().lines().count(), 1);
    let (code, shown) = run(&["config", "show", file]);
    let shown: toml::Table = toml::from_str(&shown).unwrap();
    assert_eq!((code, shown["web"]["listen"].as_str()), (Some(0), Some("127.0.0.1:9478")));
    assert!(shown["limits"].get("outbox_bytes").is_some(), "defaults are shown");

    fs::write(&path, text.replace("listen", "lisen")).unwrap();
    let (code, said) = run(&["config", "check", file]);
    assert!(code == Some(2) && said.contains("perhaps `listen` is meant") && said.contains("yukue.toml:2"), "{said}");
}

#[test]
fn the_doctor_needs_no_rights_and_the_manual_names_every_command() {
    let examined = yukue(&["doctor", "no/such/yukue.toml", "-i", "no-such-if", "--json"]);
    assert_eq!(examined.status.code(), Some(1), "{examined:?}");
    let document: serde_json::Value = serde_json::from_slice(&examined.stdout).unwrap();
    let checks = document["checks"].as_array().unwrap();
    assert!(checks.iter().any(|c| c["check"] == "interface" && c["level"] == "fail" && c["mend"].is_string()));
    assert!(checks.iter().all(|c| c["level"] != "fail" || c["mend"].is_string()), "a failure without what mends it");

    let folder = tempfile::tempdir().unwrap();
    assert_eq!(yukue(&["man", "--out", folder.path().to_str().unwrap()]).status.code(), Some(0));
    for page in ["yukue", "yukue-analyze", "yukue-config", "yukue-config-check", "yukue-doctor"] {
        assert!(folder.path().join(format!("{page}.1")).exists(), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let text = yukue(&["completions", shell]).stdout;
        assert!(String::from_utf8_lossy(&text).contains("doctor"), "{shell}");
    }
}
