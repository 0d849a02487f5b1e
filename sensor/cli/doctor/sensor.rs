//! The sensor's own ground: rights, configuration, clock, disk, age of intelligence.

use super::{Scene, Verdict};
use crate::config::Loaded;
use std::path::Path;

/// May interfaces be opened.
pub(super) fn rights(scene: &Scene) -> Vec<Verdict> {
    let Ok(status) = scene.machine.read("/proc/self/status") else {
        return vec![Verdict::unknown("capabilities of this process")];
    };
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    vec![if bits & (1 << NET_RAW) != 0 {
        Verdict::ok("this user may open interfaces (CAP_NET_RAW)")
    } else {
        Verdict::warn(
            "this user may not open interfaces; the service may",
            "systemctl start yukue, or: setcap cap_net_raw=ep \"$(command -v yukue)\"",
        )
    }]
}

/// `linux/capability.h`.
const NET_RAW: u32 = 13;

/// Is it right, are secrets secret.
pub(super) fn configuration(scene: &Scene) -> Vec<Verdict> {
    let loaded = match &scene.config {
        None => return vec![Verdict::warn("there is no configuration", "yukue config init")],
        Some(Err(wrong)) => return vec![Verdict::fail(format!("wrong: {wrong}"), "yukue config check")],
        Some(Ok(loaded)) => loaded,
    };
    let parts = &loaded.config.parts;
    let mut verdicts = vec![Verdict::ok(format!(
        "{}, {} rules on, {}",
        several(parts.capture.len(), "interface"),
        loaded.enabled(),
        several(loaded.config.outputs.len(), "output")
    ))];
    if parts.paths.site.is_none() {
        verdicts.push(Verdict::warn(
            "no site file: private addresses are taken for inside, and nobody's role is known",
            "site = \"site.toml\" in [paths]; site.example.toml shows one",
        ));
    }
    for path in secrets(loaded) {
        if scene.machine.mode(Path::new(&path)).is_some_and(|mode| mode & 0o004 != 0) {
            verdicts.push(Verdict::fail(format!("everybody may read {path}"), format!("chmod o-rwx {path}")));
        }
    }
    verdicts
}

/// Files that outputs name and nobody else should read.
fn secrets(loaded: &Loaded) -> Vec<String> {
    let secret = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let named = ["secret_file", "token_file", "key_file"].contains(&key.trim());
        named.then(|| value.trim().trim_matches('"').to_owned())
    };
    loaded.config.outputs.iter().flat_map(|output| output.text.lines().filter_map(secret)).collect()
}

/// Is the clock right: times of alerts are compared with other logs.
pub(super) fn clock(scene: &Scene) -> Vec<Verdict> {
    let mend = "apt install chrony, or: timedatectl set-ntp true";
    let machine = &scene.machine;
    let by_chrony = machine.ask("chronyc", &["-c", "tracking"]).ok().and_then(|said| {
        let fields: Vec<&str> = said.trim().split(',').collect();
        let (source, offset) = (fields.get(1)?, fields.get(4)?.parse::<f64>().ok()?);
        let synchronised = fields.last().is_some_and(|leap| *leap != "Not synchronised");
        Some(if !synchronised {
            Verdict::fail("chrony runs but is not synchronised", "chronyc sources -v")
        } else if offset.abs() > MOST_OFFSET_S {
            Verdict::warn(format!("the clock is off by {offset:.3} s"), "chronyc makestep")
        } else {
            Verdict::ok(format!("synchronised by chrony with {source}, offset {:.1} ms", offset * 1000.0))
        })
    });
    let by_manager = || {
        let said = machine.ask("timedatectl", &["show", "-p", "NTPSynchronized", "--value"]).ok()?;
        Some(match said.trim() {
            "yes" => Verdict::ok("synchronised by NTP, offset unknown"),
            _ => Verdict::fail("the clock is not synchronised", mend),
        })
    };
    let time = by_chrony.or_else(by_manager).unwrap_or_else(|| Verdict::unknown("whether the clock is synchronised"));
    let source = machine.read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let slow = source.ok().filter(|source| ["hpet", "acpi_pm", "jiffies"].contains(&source.as_str()));
    let slow = slow.map(|source| {
        let said = format!("the kernel counts time by {source}: each time stamp costs a microsecond");
        Verdict::warn(said, "cat /sys/devices/system/clocksource/clocksource0/available_clocksource")
    });
    std::iter::once(time).chain(slow).collect()
}

/// Beyond it, logs of two machines are told in the wrong order.
const MOST_OFFSET_S: f64 = 0.1;

/// Is there room for what is recorded.
pub(super) fn disk(scene: &Scene) -> Vec<Verdict> {
    let folders = match &scene.config {
        Some(Ok(loaded)) => [loaded.config.parts.paths.state.clone(), loaded.config.parts.paths.log.clone()],
        _ => ["/var/lib/yukue".into(), "/var/log/yukue".into()],
    };
    let of = |path: &Path| {
        let Some((free, all)) = scene.machine.room(path) else {
            return Verdict::warn(
                format!("{}: is not there, or may not be seen by this user", path.display()),
                "systemd-tmpfiles --create yukue.conf",
            );
        };
        let share = free.saturating_mul(100).checked_div(all).unwrap_or(0);
        let said = format!("{}: {} of {} MB free, {share} %", path.display(), free / 1_000_000, all / 1_000_000);
        let mend = "lower record_files or record_file_bytes in [limits], or give it a larger disk";
        match share {
            _ if free < LEAST_FREE => Verdict::fail(said, mend),
            ..=9 => Verdict::warn(said, mend),
            _ => Verdict::ok(said),
        }
    };
    folders.iter().map(|path| of(path)).collect()
}

/// Bytes; less is gone within minutes on a busy link.
const LEAST_FREE: u64 = 256 << 20;

fn several(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// How old are tables and feeds of the site's own; the shipped ones are as old as the program.
pub(super) fn intelligence(scene: &Scene) -> Vec<Verdict> {
    let Some(Ok(loaded)) = &scene.config else { return Vec::new() };
    let Some(folder) = &loaded.config.parts.paths.intel else {
        return vec![Verdict::warn(
            format!("only the tables shipped with {} are used", env!("CARGO_PKG_VERSION")),
            "yukue intel import aws ip-ranges.json --out intel, then intel = \"intel\" in [paths]",
        )];
    };
    let age = |(name, _): &(String, usize)| {
        let days = scene.now_s.saturating_sub(scene.machine.changed(&folder.join(name))?) / 86_400;
        Some((name.clone(), days))
    };
    let ages: Vec<(String, i64)> = loaded.rows.iter().filter_map(age).collect();
    let old = ages.iter().filter(|(_, days)| *days > OLD_DAYS);
    let mut verdicts: Vec<Verdict> = old
        .map(|(name, days)| Verdict::warn(format!("{name} is {days} days old"), "yukue intel import --help"))
        .collect();
    if verdicts.is_empty() {
        verdicts
            .push(Verdict::ok(format!("{} tables and feeds of your own, none over {OLD_DAYS} days old", ages.len())));
    }
    verdicts
}

/// Vendors move their ranges every week or two.
const OLD_DAYS: i64 = 14;
