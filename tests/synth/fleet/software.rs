//! Software that calls home by a timer, and software that spreads: sixty programs from everywhere to rare, one adopted
//! by somebody nearly every day.

use super::dice::{Dice, share};
use super::flow::{Client, Flow, Over, Says};
use super::names::{Name, Names};
use super::people::look_up;
use super::world::{Host, Kind};
use super::{DAY, MS, Ns, SECOND, SLICE, START};

/// A program that polls.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) name: Name,
    client: Client,
    /// Seconds from poll to poll.
    interval: f64,
    jitter: f64,
    /// Share of PCs and of servers that have it.
    pcs: f64,
    servers: f64,
    up: f64,
    down: f64,
    /// When it began to spread; before the data for those that are settled.
    since: Ns,
    /// How long it takes until all that will have it have it.
    spread: Ns,
}

/// What every Windows machine and browser asks for. Prevalence and interval are drawn like the others'.
const EVERYWHERE: &[(&str, Client)] = &[
    ("ctldl.windowsupdate.com", Client::Schannel),
    ("settings-win.data.microsoft.com", Client::Schannel),
    ("v10.events.data.microsoft.com", Client::Schannel),
    ("update.googleapis.com", Client::Chromium),
    ("edge.microsoft.com", Client::Chromium),
    ("aus5.mozilla.org", Client::Firefox),
];

/// The programs of a fleet: at most 64, one bit each.
pub(crate) fn catalogue(seed: u64, days: u32, size: usize, names: &mut Names) -> Vec<App> {
    let mut dice = Dice::of([seed, 30, 0, 0]);
    let mut apps = Vec::new();
    let settled = 64 - (days as usize / 2).clamp(4, 16);
    for n in 0..settled {
        let known = EVERYWHERE.get(n);
        let interval: f64 = *dice.pick(&[60.0, 300.0, 900.0, 1_800.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0]);
        // What polls every minute is rare; what is everywhere polls seldom.
        let most: f64 = if interval < 600.0 { 0.02 } else { 0.95 };
        let pcs = if known.is_some() { dice.between(0.6, 0.98) } else { dice.octaves(0.001, most) };
        let client = known.map_or_else(|| *dice.pick(&CLIENTS), |(_, client)| *client);
        let text = known.map_or_else(|| format!("api.vendor-{n}.example"), |(name, _)| (*name).to_owned());
        apps.push(App {
            name: names.make_site(text),
            client,
            interval: if known.is_some() { interval.max(14_400.0) } else { interval },
            jitter: dice.between(0.0, 0.3),
            pcs,
            servers: if dice.chance(0.2) { dice.octaves(0.01, 0.5) } else { 0.0 },
            up: dice.octaves(400.0, 6_000.0),
            down: dice.octaves(500.0, 60_000.0),
            since: 0,
            spread: 1,
        });
    }
    for n in settled..64 {
        let day = dice.below(days as usize) as Ns;
        apps.push(App {
            name: names.make_site(format!("app.newcomer-{n}.example")),
            client: *dice.pick(&CLIENTS),
            interval: dice.octaves(900.0, 43_200.0),
            jitter: dice.between(0.0, 0.3),
            pcs: (dice.octaves(3.0, 3_000.0) / size as f64).min(0.4),
            servers: 0.0,
            up: dice.octaves(400.0, 6_000.0),
            down: dice.octaves(500.0, 60_000.0),
            since: START + day * DAY + (dice.between(1.0, 7.0) * 3_600.0) as Ns * SECOND,
            spread: (dice.octaves(0.1, 4.0) * DAY as f64) as Ns,
        });
    }
    apps
}

/// Which of them a host has, or will have.
pub(crate) fn installed(seed: u64, apps: &[App], host: &Host) -> u64 {
    let mut bits = 0;
    for (n, app) in apps.iter().enumerate() {
        let chance = match host.kind {
            Kind::Server => app.servers,
            Kind::Device => 0.0,
            _ => app.pcs,
        };
        if share([seed, 31, host.number.into(), n as u64]) < chance {
            bits |= 1 << n;
        }
    }
    bits
}

/// Polls of a host's programs within a slice. `booted`: the first slice of its session.
pub(crate) fn polls(seed: u64, apps: &[App], names: &Names, host: &Host, from: Ns, dns: u32, out: &mut Vec<Flow>) {
    let until = (from + SLICE).min(host.off);
    let booted = host.on >= from && host.on < until;
    let mut left = host.apps;
    while left != 0 {
        let n = left.trailing_zeros() as usize;
        left &= left - 1;
        let app = &apps[n];
        let mine = share([seed, 32, host.number.into(), n as u64]);
        let since = app.since + (mine * mine * app.spread as f64) as Ns;
        if since >= until {
            continue;
        }
        let interval = app.interval * SECOND as f64;
        let begin = from.max(host.on);
        let mut k = ((begin - START) as f64 / interval - mine).ceil();
        let nominal = |k: f64| START + ((k + mine) * interval) as Ns;
        while nominal(k) < until {
            let mut dice = Dice::of([seed, 33 + n as u64, host.number.into(), k as i64 as u64]);
            let at = nominal(k) + (app.jitter * (dice.unit() - 0.5) * interval) as Ns;
            if at >= since && host.is_on(at) && at >= from - SLICE {
                poll(app, names, host, at, dns, &mut dice, out);
            }
            k += 1.0;
        }
        let mut dice = Dice::of([seed, 34 + n as u64, host.number.into(), from as u64]);
        if host.on > since && booted && dice.chance(0.6) || (since >= from && host.is_on(since)) {
            let at = host.on.max(since) + (dice.lognormal(40.0, 0.9) * SECOND as f64) as Ns;
            out.push(look_up(at - 30 * MS, host.ip, dns, app.name, names.ip(app.name)));
            poll(app, names, host, at, dns, &mut dice, out);
        }
    }
}

fn poll(app: &App, names: &Names, host: &Host, at: Ns, dns: u32, dice: &mut Dice, out: &mut Vec<Flow>) {
    let ip = names.ip(app.name);
    if dice.chance(0.1) {
        out.push(look_up(at - 30 * MS, host.ip, dns, app.name, ip));
    }
    out.push(Flow {
        ts: at,
        orig: host.ip,
        resp: ip,
        port: 443,
        over: Over::Tcp,
        lasts: dice.lognormal(900.0, 0.6) as u32,
        up: dice.lognormal(app.up, 0.15) as u32,
        down: dice.lognormal(app.down, 0.4) as u32,
        says: Says::Tls(app.name, app.client),
    });
}

const CLIENTS: [Client; 8] = [
    Client::Schannel,
    Client::Schannel,
    Client::Schannel,
    Client::Schannel,
    Client::Go,
    Client::Java,
    Client::Node,
    Client::Python,
];
