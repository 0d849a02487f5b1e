//! The architecture as a test: who may import whom, how long files may be, which tables belong to which files.

use crate::support::{root, rule_stems};
use std::fs;
use std::path::PathBuf;

/// Who may import whom, in pipeline order. What is not listed is forbidden, and so is a module that is not listed.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("event", &["base"]),
    ("intel", &["base", "event"]),
    ("capture", &["base"]),
    ("decode", &["base", "event", "capture"]),
    ("protocol", &["base", "event"]),
    ("flow", &["base", "event", "decode", "protocol"]),
    ("profile", &["base", "event", "intel"]),
    ("detect", &["base", "event", "intel", "profile"]),
    ("campaign", &["base", "event", "intel", "profile", "detect"]),
    ("alert", &["base", "event", "intel", "profile", "detect", "campaign"]),
    ("output", &["base", "event", "intel", "detect", "campaign", "alert"]),
    ("config", &["base", "event", "intel", "profile", "detect", "campaign", "alert", "output"]),
    ("api", &["base", "output"]),
    (
        "engine",
        &[
            "base", "event", "intel", "capture", "decode", "protocol", "flow", "profile", "detect", "campaign",
            "alert", "output", "config", "api",
        ],
    ),
    (
        "cli",
        &[
            "base", "event", "intel", "capture", "decode", "protocol", "flow", "profile", "detect", "campaign",
            "alert", "output", "config", "api", "engine",
        ],
    ),
];

/// The crate's own face, and the crate of packet sockets: what these files import is theirs to decide.
const ABOVE_ALL: &[&str] = &["lib", "main", "testing", "ring", "build"];

/// Lines of one file, inline tests included; past that there is a second idea in it.
const MAX_LINES: usize = 500;

/// Files that may do IO besides `output`, `engine`, `cli` and `main`.
const IO_MODULES: &[&str] = &["capture", "output", "config", "engine", "api", "cli", "main", "testing", "build"];

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut broken = Vec::new();
    for (path, module, text) in sources() {
        if ABOVE_ALL.contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(m, _)| *m == module) else {
            broken.push(format!("{}: {module:?} is not in the table", path.display()));
            continue;
        };
        for (n, line) in text.lines().enumerate() {
            for rest in code(line).split("crate::").skip(1) {
                let used = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                if used != module && !allowed.contains(&used) {
                    broken.push(format!("{}:{}: {module} must not use {used:?}", path.display(), n + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn files_hold_one_idea() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(_, _, text)| text.lines().count() > MAX_LINES)
        .map(|(path, _, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, _, text)| !text.starts_with("//! ")).map(|(path, ..)| path).collect();
    assert!(silent.is_empty(), "no //! line: {silent:?}");
}

#[test]
fn only_the_edges_do_io() {
    let mut broken = Vec::new();
    for (path, module, text) in sources() {
        if IO_MODULES.contains(&module.as_str()) {
            continue;
        }
        let body = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (n, line) in body.lines().enumerate() {
            let doing = ["std::fs", "std::io::std", "std::net::Tcp", "std::net::Udp", "std::process", "File::open"]
                .into_iter()
                .find(|io| code(line).contains(io));
            if let Some(io) = doing {
                broken.push(format!("{}:{}: {io}", path.display(), n + 1));
            }
        }
    }
    assert!(broken.is_empty(), "IO outside the edges:\n{}", broken.join("\n"));
}

#[test]
fn every_stage_has_its_place_on_the_map() {
    let map = fs::read_to_string(root().join("sensor/lib.rs")).unwrap();
    for (module, _) in MAY_IMPORT {
        assert!(map.contains(&format!("mod {module};")), "sensor/lib.rs does not name {module}");
    }
}

#[test]
fn every_rule_file_is_compiled_in_and_explained() {
    let all: Vec<_> = sources().into_iter().map(|(_, _, text)| text).collect();
    let readme = fs::read_to_string(root().join("rules/README.md")).unwrap();
    for stem in rule_stems() {
        let file = format!("/rules/{stem}.toml\")");
        assert!(all.iter().any(|text| text.contains(&file)), "{stem}.toml is not compiled in");
        assert!(readme.contains(&format!("`{stem}`")), "rules/README.md does not name {stem}");
    }
}

/// A rule is specified by tables of scenes whose rows say what they ask of it (`Case` in `sensor/engine/scene.rs`): what fires
/// it, what nearly does, and the values on both sides of a threshold. A table belongs to the rules that its loop names.
#[test]
fn every_rule_has_a_scene_that_fires_it_one_that_nearly_does_and_both_sides_of_a_threshold() {
    const CASES: [&str; 4] = ["Fires(", "Nearly(", "Just(", "JustNot("];
    let files = sources().into_iter().filter(|(path, ..)| path.to_string_lossy().ends_with("_tests.rs"));
    let tests = files.flat_map(|(.., text)| text.split("\n#[test]").skip(1).map(str::to_owned).collect::<Vec<_>>());
    let tables = tests.flat_map(|test| test.split("for (what, ").skip(1).map(str::to_owned).collect::<Vec<_>>());
    let tables: Vec<String> = tables.collect();
    let mut missing = Vec::new();
    for stem in rule_stems() {
        let asked = |case: &str| tables.iter().any(|t| t.contains(&format!("\"{stem}\"")) && t.contains(case));
        missing.extend(CASES.into_iter().filter(|case| !asked(case)).map(|case| format!("{stem}: {case}…)")));
    }
    assert!(missing.is_empty(), "no such row in sensor/engine/*_tests.rs:\n{}", missing.join("\n"));
}

/// Egress EG-001 to EG-018, inside IN-101 to IN-115, joins CO-201 to CO-203: each must say which detector it is.
#[test]
fn every_rule_of_the_catalogue_has_its_detector() {
    let readme = fs::read_to_string(root().join("rules/README.md")).unwrap();
    let catalogue = [("EG", 1..=18), ("IN", 101..=115), ("CO", 201..=203)];
    let ids = catalogue.into_iter().flat_map(|(group, numbers)| numbers.map(move |n| format!("{group}-{n:03}")));
    let told = |id: &str| {
        let row = readme.lines().find(|line| line.starts_with('|') && line.split('|').nth(1).unwrap().contains(id));
        row.is_some_and(|row| {
            let stems = row.split('`').skip(1).step_by(2);
            stems.into_iter().any(|stem| root().join(format!("rules/{stem}.toml")).exists())
        })
    };
    let missing: Vec<String> = ids.filter(|id| !told(id)).collect();
    assert!(missing.is_empty(), "rules/README.md names no detector for {missing:?}");
}

#[test]
fn the_top_level_is_what_it_may_be() {
    const ALLOWED: &[&str] = &[
        "Cargo.toml",
        "Cargo.lock",
        "sensor",
        "rules",
        "pcaps",
        "grafana",
        "tests",
        "README.md",
        "README.ja.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
    ];
    let listed = std::process::Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut odd: Vec<_> = listed
        .lines()
        .filter_map(|path| path.split('/').next())
        .filter(|top| !top.starts_with('.') && !ALLOWED.contains(top))
        .collect();
    odd.dedup();
    assert!(odd.is_empty(), "not at the top level: {odd:?}");
}

#[test]
fn every_dependency_has_a_reason() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut section = "";
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && line.contains('=') {
            assert!(line.contains(" # "), "no reason: {line}");
        }
    }
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Path, top-level module and text of every file of the crate.
fn sources() -> Vec<(PathBuf, String, String)> {
    let sensor = root().join("sensor");
    let mut found = Vec::new();
    let mut folders = vec![sensor.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let below = path.strip_prefix(&sensor).unwrap().with_extension("");
                let module = below.iter().next().unwrap().to_str().unwrap().to_owned();
                found.push((path.clone(), module, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
