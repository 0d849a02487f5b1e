//! Something on a host that keeps calling: implants of campaigns, lone beacons, drips; also honest new services, which
//! differ in who asked for them and in nothing the wire shows.

use super::dice::Dice;
use super::flow::{Client, Flow, Over, Says};
use super::names::{Name, Names};
use super::people::look_up;
use super::world::World;
use super::{DAY, MS, Ns, SECOND, SLICE};

/// Where it calls.
#[derive(Clone, Debug)]
pub(crate) enum To {
    /// Names, one a day in turn; usually a single one.
    Names(Vec<Name>),
    /// An address without a name.
    Address(u32),
}

/// A caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) host: u32,
    /// First call; put off until the host is in use.
    pub(crate) first: Ns,
    pub(crate) until: Ns,
    /// Seconds from call to call; 0: calls once.
    pub(crate) interval: f64,
    /// Sleeps are uniform in [(1 − jitter)·interval, interval].
    pub(crate) jitter: f64,
    pub(crate) to: To,
    pub(crate) client: Client,
    /// Bytes taken along at each call.
    pub(crate) up: f64,
    pub(crate) down: f64,
    /// Campaign and victim it belongs to.
    pub(crate) of: Option<(usize, usize)>,
    next: Option<Ns>,
    calls: u32,
}

impl Caller {
    pub(crate) const fn new(host: u32, first: Ns, until: Ns, to: To, client: Client) -> Self {
        let (interval, jitter, up, down) = (0.0, 0.0, 700.0, 1_500.0);
        Self { host, first, until, interval, jitter, to, client, up, down, of: None, next: None, calls: 0 }
    }

    pub(crate) const fn every(mut self, interval: f64, jitter: f64) -> Self {
        self.interval = interval;
        self.jitter = jitter;
        self
    }

    pub(crate) const fn carrying(mut self, up: f64, down: f64) -> Self {
        self.up = up;
        self.down = down;
        self
    }

    pub(crate) const fn of(mut self, campaign: usize, victim: usize) -> Self {
        self.of = Some((campaign, victim));
        self
    }

    pub(crate) const fn is_over(&self, now: Ns) -> bool {
        now >= self.until || (self.interval <= 0.0 && self.calls > 0)
    }

    /// Calls within a slice; `called` hears of the first one.
    pub(crate) fn call(
        &mut self,
        world: &World,
        names: &Names,
        from: Ns,
        dns: u32,
        called: &mut impl FnMut((usize, usize), Ns),
        out: &mut Vec<Flow>,
    ) {
        let until = (from + SLICE).min(self.until);
        let host = &world.hosts[self.host as usize];
        let mut dice = Dice::of([world.seed, 60, self.host.into(), (from / SLICE) as u64 ^ self.first as u64]);
        let mut at = self.next.unwrap_or(self.first);
        while at < until {
            if at < from {
                // It slept while the host did.
                at = from + (dice.unit() * 90.0 * SECOND as f64) as Ns;
            }
            if !host.is_on(at) {
                if host.on > at && host.on < until {
                    at = host.on + (dice.lognormal(60.0, 0.8) * SECOND as f64) as Ns;
                    continue;
                }
                break;
            }
            if at >= until {
                break;
            }
            self.contact(names, host.ip, at, dns, &mut dice, out);
            if self.calls == 0
                && let Some(of) = self.of
            {
                called(of, at);
            }
            self.calls += 1;
            if self.interval <= 0.0 {
                break;
            }
            at += ((self.interval * dice.between(1.0 - self.jitter, 1.0)).max(2.5) * SECOND as f64) as Ns;
        }
        self.next = Some(at);
    }

    fn contact(&self, names: &Names, orig: u32, at: Ns, dns: u32, dice: &mut Dice, out: &mut Vec<Flow>) {
        let (ip, says) = match &self.to {
            To::Names(all) => {
                let name = all[((at - self.first) / DAY) as usize % all.len()];
                let ip = names.ip(name);
                if self.calls == 0 || dice.chance(0.3) {
                    out.push(look_up(at - 30 * MS, orig, dns, name, ip));
                }
                (ip, Says::Tls(name, self.client))
            }
            To::Address(ip) => (*ip, Says::Nothing),
        };
        let up = (self.up * dice.between(0.95, 1.05)).min(4e9) as u32;
        // The first call fetches something.
        let down = if self.calls == 0 { dice.octaves(8_000.0, 400_000.0) } else { self.down * dice.between(0.9, 1.3) };
        let lasts = 700 + (f64::from(up) / 1_000.0) as u32;
        out.push(Flow { ts: at, orig, resp: ip, port: 443, over: Over::Tcp, lasts, up, down: down as u32, says });
    }
}
