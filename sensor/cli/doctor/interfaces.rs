//! Interfaces: is there a link, do offloads change packets before the sensor sees them, is the ring large enough, what
//! was lost. `ethtool` only reads here.

use super::{Scene, Verdict};

/// Up, listening to everything, wide enough for tunnels.
pub(super) fn link(scene: &Scene) -> Vec<Verdict> {
    if scene.interfaces.is_empty() {
        return vec![Verdict::fail("no interface is up", "ip link set dev NAME up")];
    }
    scene.interfaces.iter().flat_map(|name| link_of(scene, name)).collect()
}

fn link_of(scene: &Scene, name: &str) -> Vec<Verdict> {
    let file = |what: &str| scene.machine.read(format!("/sys/class/net/{name}/{what}"));
    let Ok(state) = file("operstate") else {
        return vec![Verdict::fail(format!("{name}: there is no such interface"), "ip link")];
    };
    let mut verdicts = Vec::new();
    verdicts.push(match (state.as_str(), file("carrier").as_deref()) {
        ("down", _) => Verdict::fail(format!("{name}: down"), format!("ip link set dev {name} up")),
        (_, Ok("0")) => Verdict::fail(format!("{name}: up, but no link"), "check the cable and the mirror's port"),
        _ => Verdict::ok(format!("{name}: up{}", speed(file("speed").ok()))),
    });
    let flags = file("flags").ok().and_then(|flags| u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok());
    verdicts.push(match flags {
        Some(flags) if flags & PROMISCUOUS != 0 => Verdict::ok(format!("{name}: takes frames for others")),
        // The sensor asks for it by socket, which the flag does not show.
        Some(_) => Verdict::ok(format!("{name}: takes frames for others only while the sensor asks for them")),
        None => Verdict::unknown(format!("{name}: whether it takes frames for others")),
    });
    verdicts
}

fn speed(megabits: Option<String>) -> String {
    megabits.and_then(|text| text.parse::<u32>().ok()).map_or_else(String::new, |m| format!(", {m} Mbit/s"))
}

/// IFF_PROMISC of `linux/if.h`.
const PROMISCUOUS: u32 = 0x100;

/// Offloads that merge packets: sizes, counts and times are then wrong.
pub(super) fn offloads(scene: &Scene) -> Vec<Verdict> {
    let of = |name: &String| match scene.machine.ask("ethtool", &["-k", name]) {
        Err(why) => vec![Verdict::unknown(format!("{name}: offloads: {why}"))],
        Ok(said) => {
            let on = |feature: &str| {
                let line = said.lines().map(str::trim).find_map(|line| line.strip_prefix(feature)?.strip_prefix(": "));
                line.is_some_and(|state| state.starts_with("on"))
            };
            let troubles: Vec<Verdict> = MERGING
                .iter()
                .filter(|(feature, ..)| on(feature))
                .map(|(feature, short, effect)| {
                    Verdict::fail(
                        format!("{name}: {feature} is on: {effect}"),
                        format!("ethtool -K {name} {short} off"),
                    )
                })
                .collect();
            if troubles.is_empty() { vec![Verdict::ok(format!("{name}: no offload merges packets"))] } else { troubles }
        }
    };
    scene.interfaces.iter().flat_map(of).collect()
}

const MERGING: &[(&str, &str, &str)] = &[
    ("generic-receive-offload", "gro", "packets are merged, sizes and counts are wrong"),
    ("large-receive-offload", "lro", "packets are merged, sizes and counts are wrong"),
    ("rx-gro-hw", "rx-gro-hw", "the card merges packets, they look cut"),
    ("rx-gro-list", "rx-gro-list", "packets are chained, sizes and counts are wrong"),
    ("rx-udp-gro-forwarding", "rx-udp-gro-forwarding", "UDP packets are merged, QUIC cannot be read"),
];

/// The card's own ring.
pub(super) fn ring(scene: &Scene) -> Vec<Verdict> {
    let of = |name: &String| match scene.machine.ask("ethtool", &["-g", name]) {
        Err(why) => Verdict::unknown(format!("{name}: ring: {why}")),
        Ok(said) => {
            let mut sizes = said.lines().filter_map(|line| line.trim().strip_prefix("RX:")?.trim().parse::<u64>().ok());
            match (sizes.next(), sizes.next()) {
                (Some(most), Some(now)) if now < most => Verdict::warn(
                    format!("{name}: the ring holds {now} packets of {most} possible"),
                    format!("ethtool -G {name} rx {most}"),
                ),
                (Some(_), Some(now)) => Verdict::ok(format!("{name}: the ring holds {now} packets, as many as it can")),
                _ => Verdict::unknown(format!("{name}: ring: the driver does not say")),
            }
        }
    };
    scene.interfaces.iter().map(of).collect()
}

/// What the interface lost since it came up.
pub(super) fn losses(scene: &Scene) -> Vec<Verdict> {
    let of = |name: &String| {
        let count = |what: &str| scene.machine.number(format!("/sys/class/net/{name}/statistics/{what}"));
        let Some(received) = count("rx_packets") else {
            return Verdict::unknown(format!("{name}: its counters"));
        };
        let lost: Vec<(&str, u64)> =
            LOSSES.iter().filter_map(|what| Some((*what, count(what)?))).filter(|(_, n)| *n > 0).collect();
        let total: u64 = lost.iter().map(|(_, n)| n).sum();
        if total == 0 {
            return Verdict::ok(format!("{name}: {received} packets received, none lost"));
        }
        let told: Vec<String> = lost.iter().map(|(what, n)| format!("{what} {n}")).collect();
        let said = format!("{name}: {received} packets received, lost: {}", told.join(", "));
        let mend = format!("ethtool -S {name} | grep -iE 'drop|miss|fifo|err'");
        // One in a thousand: a flow of some hundred packets is then seldom whole.
        if total.saturating_mul(1000) > received { Verdict::fail(said, mend) } else { Verdict::warn(said, mend) }
    };
    scene.interfaces.iter().map(of).collect()
}

const LOSSES: &[&str] = &["rx_dropped", "rx_missed_errors", "rx_fifo_errors", "rx_over_errors", "rx_crc_errors"];
