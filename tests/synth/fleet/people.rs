//! People at their PCs: sessions come and go with the hours of the week, within them pages follow each other.
//!
//! A user's next contact is new with a probability that falls as Heaps' law says; otherwise it is one of their own, the
//! favourites most often. New ones come from the whole world's popularity, so some are new to everybody.

use super::dice::{Dice, share};
use super::flow::{Client, Flow, Over, Says};
use super::names::{Name, Names, PATH_STYLE};
use super::world::{BROWSED, Host, Kind, Params};
use super::{HOUR, MS, Ns, SECOND, SLICE};

/// Says what a user does at the browser within a slice. `hour` and `working` are local; `shared` are the services that
/// put all customers behind one name; `dns` is the resolver.
#[expect(clippy::too_many_arguments, reason = "everything a user's quarter of an hour depends on")]
pub(crate) fn browse(
    seed: u64,
    params: &Params,
    names: &Names,
    host: &mut Host,
    (from, hour, working): (Ns, usize, bool),
    shared: &[Name],
    dns: u32,
    out: &mut Vec<Flow>,
) {
    let mut dice = Dice::of([seed, 20, host.number.into(), (from / SLICE) as u64]);
    let calm = if working { 1.0 } else { 0.25 };
    let weight = if host.kind == Kind::Workstation && !(7..20).contains(&hour) { 0.01 } else { HOURS[hour] };
    // Normal working hours add up to about nine.
    let mean = f64::from(host.activity) * calm * weight / 9.0 * (BROWSED / PAGES) * (SLICE as f64 / HOUR as f64);
    for _ in 0..dice.poisson(mean) {
        let mut at = from + (dice.unit() * SLICE as f64) as Ns;
        let pages = 1 + dice.exponential(PAGES - 1.0).min(60.0) as u32;
        for _ in 0..pages {
            if at >= host.off {
                break;
            }
            page(seed, params, names, host, at, shared, dns, &mut dice, out);
            at += (dice.lognormal(6.0, 1.6).clamp(0.3, 1_800.0) * SECOND as f64) as Ns;
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "as above")]
fn page(
    seed: u64,
    params: &Params,
    names: &Names,
    host: &mut Host,
    at: Ns,
    shared: &[Name],
    dns: u32,
    dice: &mut Dice,
    out: &mut Vec<Flow>,
) {
    host.contacts = host.contacts.saturating_add(1);
    // Heaps: V = a·n^β, so new ones come at β·V/n; scaled to this seed's novelty at the start of the data.
    let grown = (f64::from(host.contacts) / 20_000.0).powf(params.heaps - 1.0);
    let new = dice.chance((params.novelty * grown).min(0.5));
    let name = if !new && dice.chance(0.04) {
        *dice.pick(shared)
    } else {
        let number = if new {
            host.known += 1;
            host.known - 1
        } else {
            // Favourites: the first ones a user ever met.
            dice.zipf(host.known.into(), 1.0) as u32
        };
        own(seed, params, host, number)
    };
    let ip = names.ip(name);
    if new || dice.chance(0.25) {
        out.push(look_up(at - 30 * MS, host.ip, dns, name, ip));
    }
    let tail = dice.chance(0.01);
    let up = if tail && dice.chance(0.3) {
        dice.pareto(100_000.0, params.alpha).min(2e9)
    } else {
        dice.lognormal(2_500.0, 1.1).min(3e6)
    };
    let down = if tail { dice.pareto(1e6, params.alpha).min(3e9) } else { dice.lognormal(35_000.0, 1.5).min(5e7) };
    let lasts = dice.lognormal(20_000.0, 1.2).clamp(150.0, 3.6e6) as u32;
    let way = dice.below(100);
    let says = match (way, host.browser) {
        (0..12, Client::Chromium) => Says::Quic(name, host.browser),
        (97.., browser) => Says::Get(name, browser),
        (_, browser) => Says::Tls(name, browser),
    };
    let (over, port) = match &says {
        Says::Quic(..) => (Over::Udp, 443),
        Says::Get(..) => (Over::Tcp, 80),
        _ => (Over::Tcp, 443),
    };
    out.push(Flow { ts: at, orig: host.ip, resp: ip, port, over, lasts, up: up as u32, down: down as u32, says });
}

/// The `number`th tenant a user ever met. The first fifty are what everybody in the trade uses.
pub(crate) fn own(seed: u64, params: &Params, host: &Host, number: u32) -> Name {
    let mut dice = Dice::of([seed, 21, host.number.into(), number.into()]);
    if number < 50 && dice.chance(0.6) {
        return Names::tenant(dice.zipf(400.0, 0.8));
    }
    Names::tenant(dice.zipf(params.tenants, params.zipf))
}

/// A question to the resolver.
pub(crate) const fn look_up(ts: Ns, orig: u32, dns: u32, name: Name, ip: u32) -> Flow {
    Flow { ts, orig, resp: dns, port: 53, over: Over::Udp, lasts: 20, up: 45, down: 90, says: Says::Lookup(name, ip) }
}

/// Whether a PC's user is a developer: package hosts and code hosts by command line tools are part of their day.
pub(crate) fn develops(seed: u64, host: &Host) -> bool {
    host.is_pc() && share([seed, 22, host.number.into(), 0]) < 0.04
}

/// The services that put all customers behind one name.
pub(crate) fn path_style(names: &mut Names) -> Vec<Name> {
    PATH_STYLE.iter().map(|(name, ip, _)| names.make((*name).to_owned(), *ip)).collect()
}

/// Pages of a session.
const PAGES: f64 = 7.0;
/// How busy the hours of a working day are.
const HOURS: [f64; 24] = [
    0.02, 0.02, 0.02, 0.02, 0.02, 0.05, 0.2, 0.5, 0.9, 1.25, 1.2, 1.1, 0.6, 1.1, 1.15, 1.1, 1.0, 0.85, 0.5, 0.3, 0.2,
    0.1, 0.06, 0.04,
];
