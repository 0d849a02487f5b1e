//! What the traffic itself tells of the mirror: copies, a missing direction, losses on the way to the analysis. From the
//! running sensor's status, or from the summary of a run over a sample (`--run`).

use super::{Scene, Verdict};
use serde_json::Value;

/// Does it run, does it keep up.
pub(super) fn running(scene: &Scene) -> Vec<Verdict> {
    let Ok(seen) = &scene.seen else {
        return vec![Verdict::unknown("no running sensor has left its status; yukue doctor --run DIR looks at a run")];
    };
    let Some(updated) = seen.pointer("/updated_ns").and_then(Value::as_i64) else { return Vec::new() };
    let age = scene.now_s.saturating_sub(updated / 1_000_000_000);
    if seen.pointer("/phase").and_then(Value::as_str) == Some("stopped") || age > STALE_S {
        let said = format!("the sensor does not run; it was last heard of {age} s ago");
        return vec![Verdict::fail(said, "systemctl status yukue; journalctl -u yukue -n 50")];
    }
    let mut verdicts = vec![Verdict::ok(format!("the sensor runs, heard of {} s ago", age.max(0)))];
    for of in seen.pointer("/interfaces").and_then(Value::as_array).into_iter().flatten() {
        let name = of.get("name").and_then(Value::as_str).unwrap_or_default();
        let count = |key: &str| of.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (kernel, shed) = (count("kernel_dropped"), count("shed_bulk").saturating_add(count("shed_first")));
        if kernel > 0 {
            let said = format!("{name}: {kernel} packets found no room in the kernel's ring");
            verdicts.push(Verdict::warn(said, "raise buffer_bytes, then workers, of this [[capture]] in yukue.toml"));
        }
        if shed > 0 {
            let said = format!("{name}: {shed} packets were let go because the analysis lagged");
            verdicts.push(Verdict::warn(said, "a faster machine, or a filter for what need not be seen"));
        }
    }
    if let Some(why) = seen.pointer("/log/failing").and_then(Value::as_str) {
        verdicts.push(Verdict::fail(format!("records cannot be written: {why}"), "df -h; ls -ld /var/log/yukue"));
    }
    verdicts
}

/// The same packet twice: the mirror names both ports of one path.
pub(super) fn copies(scene: &Scene) -> Vec<Verdict> {
    let place = [("/packets/duplicates", "/packets/packets"), ("/visibility/duplicate_packets", "/packets")];
    let Some((copies, packets)) = pair(scene, &place) else { return Vec::new() };
    let mend = "name each port of a path once in the mirror, or mirror one direction of each";
    vec![match percent(copies, packets) {
        share @ 2.. => Verdict::warn(format!("{share} % of packets came twice; the copies are removed"), mend),
        _ => Verdict::ok(format!("{copies} of {packets} packets came twice")),
    }]
}

/// Flows seen from one side only.
pub(super) fn directions(scene: &Scene) -> Vec<Verdict> {
    let place = [("/flows/one_way", "/flows/closed"), ("/visibility/one_way_flows", "/flows")];
    let Some((one_way, flows)) = pair(scene, &place) else { return Vec::new() };
    if flows == 0 {
        return vec![Verdict::unknown("whether both directions are seen: no flow has ended yet")];
    }
    let mend = "mirror both directions (rx and tx) of the port, or all paths of an asymmetric route";
    vec![match percent(one_way, flows) {
        share @ 30.. => Verdict::fail(format!("{share} % of flows are seen from one side only"), mend),
        share @ 10.. => Verdict::warn(format!("{share} % of flows are seen from one side only"), mend),
        _ => Verdict::ok(format!("{one_way} of {flows} flows are seen from one side only")),
    }]
}

/// A part and its whole, from the first place that has them.
fn pair(scene: &Scene, places: &[(&str, &str)]) -> Option<(u64, u64)> {
    let seen = scene.seen.as_ref().ok()?;
    let number = |at: &str| seen.pointer(at).and_then(Value::as_u64);
    places.iter().find_map(|(part, whole)| Some((number(part)?, number(whole)?)))
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

/// It writes its status every few seconds.
const STALE_S: i64 = 60;
