//! An independent dissector finds nothing malformed in our captures, save where they must be.

use crate::support::{captures, parallel, root};
use std::process::Command;

/// What tshark must find in the damaged ones: a display filter, or words on standard error.
const DAMAGE: &[(&str, &str, &str)] = &[
    ("hostile/record-cut.pcap", "", "cut short"),
    ("hostile/record-giant.pcap", "", "damaged or corrupt"),
    ("hostile/fragments-overlap.pcap", "ip.fragment.overlap.conflict", ""),
    ("hostile/dns-pointer-loop.pcap", "dns.qry.name contains \"pointer that loops\"", ""),
    ("hostile/tls-length-lies.pcap", "tls.handshake.extensions_length && frame.number < 6", ""),
    ("hostile/dcerpc-endless.pcap", "dcerpc.cn_flags.last_frag == 0", ""),
    ("hostile/http2-endless.pcap", "http2.type == 9 && http2.flags.eh == 0", ""),
    ("hostile/text-escapes.pcap", "http && frame contains e2:80:ae", ""),
];

#[test]
fn nothing_is_malformed_save_what_must_be() {
    if !tshark_is_here() {
        return;
    }
    let healthy: Vec<String> = captures().into_iter().filter(|c| !c.starts_with("hostile/")).collect();
    let broken: Vec<String> = parallel(&healthy, |name| {
        let (found, said) = tshark(name, "_ws.malformed");
        (!found.is_empty() || said.contains("cut short")).then(|| format!("{name}\n{found}{said}"))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_damaged_ones_have_the_damage_they_must_have() {
    let damaged: Vec<String> = captures().into_iter().filter(|c| c.starts_with("hostile/")).collect();
    let listed: Vec<&str> = DAMAGE.iter().map(|(name, ..)| *name).collect();
    for name in &damaged {
        assert!(listed.contains(&name.as_str()), "{name}: say in DAMAGE what is wrong with it");
    }
    if !tshark_is_here() {
        return;
    }
    let sound: Vec<String> = parallel(DAMAGE, |(name, filter, words)| {
        let (found, said) = tshark(name, filter);
        let there = if words.is_empty() { !found.is_empty() } else { said.contains(words) };
        (!there).then(|| format!("{name}: neither {filter:?} nor {words:?}: {said}"))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(sound.is_empty(), "{}", sound.join("\n"));
}

/// Frames that a display filter matches, and what was said on standard error.
fn tshark(name: &str, filter: &str) -> (String, String) {
    let mut command = Command::new("tshark");
    command.current_dir(root().join("pcaps")).args([
        "-r",
        name,
        "-T",
        "fields",
        "-e",
        "frame.number",
        "-e",
        "_ws.expert.message",
    ]);
    if !filter.is_empty() {
        command.args(["-Y", filter]);
    }
    let output = command.output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Missing it fails where everything must be checked, and says so elsewhere.
fn tshark_is_here() -> bool {
    let here = Command::new("tshark").arg("--version").output().is_ok();
    if !here {
        let ci = std::env::var_os("CI").is_some_and(|v| v == "true");
        assert!(!ci, "tshark is missing; `make test` installs it");
        println!("SKIPPED: tshark is missing; `make test` installs it");
    }
    here
}
