//! Words for numbers: what a tired person reads first. Pure functions; times are UTC.

use crate::base::Timestamp;
use std::fmt::Write;

/// What a chain has to say.
#[derive(Clone, Debug)]
pub(crate) struct ChainWords<'a> {
    pub(crate) server: &'a str,
    pub(crate) host: &'a str,
    /// `svcctl (CreateServiceW, StartServiceW)`
    pub(crate) doors: &'a str,
    pub(crate) executed: bool,
    pub(crate) acted: (Timestamp, Timestamp),
    pub(crate) lag_s: f64,
    pub(crate) contact: Timestamp,
    pub(crate) destination: &'a str,
    /// The actor's own signs of life towards it, and when the first was.
    pub(crate) actors_contacts: Option<(u32, Timestamp)>,
    /// Gaps and their median, when regular.
    pub(crate) rhythm: Option<(u32, f64)>,
    /// Hosts of the site that used it already and were not touched.
    pub(crate) strangers: u32,
    /// Further machines of the same story.
    pub(crate) further: usize,
}

/// A chain in two or three sentences.
pub(crate) fn chain(w: &ChainWords<'_>) -> String {
    let verb = if w.executed { "made code run on" } else { "prepared something on" };
    let mut text = format!(
        "{} {verb} {} through {} at {} UTC; {}, at {} UTC, {} contacted {} for the first time in this data.",
        w.server,
        w.host,
        w.doors,
        span(w.acted.0, w.acted.1),
        later(w.lag_s),
        w.contact.clock(),
        w.host,
        w.destination,
    );
    let mut cues = Vec::new();
    if let Some((times, since)) = w.actors_contacts {
        cues.push(format!("{} contacts it too ({times} time{} since {})", w.server, plural(times), since.clock()));
    }
    if let Some((gaps, median)) = w.rhythm {
        cues.push(format!("{} keeps coming back like a timer, every {} ({gaps} gaps)", w.host, seconds(median)));
    }
    cues.push(match w.strangers {
        0 => "no other host of the site used it before".to_owned(),
        n => format!("{n} other host{} of the site used it already", plural(n)),
    });
    let cues = sentence(&cues);
    let cues = cues.strip_prefix("no other").map_or_else(|| cues.clone(), |rest| format!("No other{rest}"));
    let _ = write!(text, " {cues}.");
    if w.further > 0 {
        let _ = write!(text, " {} further machine{} in the same story.", w.further, plural_of(w.further));
    }
    text
}

/// What a campaign or a shared destination has to say.
#[derive(Clone, Debug)]
pub(crate) struct CampaignWords<'a> {
    pub(crate) server: &'a str,
    pub(crate) hosts: usize,
    pub(crate) destinations: &'a [String],
    pub(crate) span: (Timestamp, Timestamp),
    /// Doors used and machines with an act before the contact.
    pub(crate) doors: Option<(&'a str, usize)>,
    pub(crate) lags_s: Option<(f64, f64)>,
    /// Exposed, cases, expected, scale in seconds, chance, candidates.
    pub(crate) test: Option<(u32, u32, f64, f64, f64, u32)>,
    pub(crate) timers: usize,
    pub(crate) baseline: bool,
}

/// A campaign in two to four sentences.
pub(crate) fn campaign(w: &CampaignWords<'_>) -> String {
    let destinations = sentence(w.destinations);
    let mut text = match w.doors {
        Some((doors, machines)) => format!(
            "{} acted on {machines} machine{} through {doors}, and {} hosts then contacted {destinations} for the first \
             time, between {} UTC",
            w.server,
            plural_of(machines),
            w.hosts,
            between(w.span.0, w.span.1),
        ),
        None => format!(
            "{} hosts contacted {destinations} for the first time between {} UTC, each shortly after being in contact \
             with {}",
            w.hosts,
            between(w.span.0, w.span.1),
            w.server,
        ),
    };
    if let Some((least, most)) = w.lags_s {
        let _ = write!(text, ", {} to {} after the act", seconds(least), seconds(most));
    }
    text.push('.');
    if let Some((exposed, cases, expected, scale, p, candidates)) = w.test {
        let _ = write!(
            text,
            " {exposed} of {cases} were in contact with {} within {} before; by accident it would be {expected:.1} \
             (chance {} for any of {candidates} candidate server{}).",
            w.server,
            seconds(scale),
            small(p),
            plural(candidates),
        );
    }
    if w.timers > 0 {
        let _ = write!(text, " {} of them keep coming back like a timer.", w.timers);
    }
    if !w.baseline {
        text.push_str(" No baseline: what is usual was judged by this capture alone.");
    }
    text
}

/// A rollout in one sentence.
pub(crate) fn rollout(w: &CampaignWords<'_>) -> String {
    format!(
        "{} hosts met {} for the first time shortly after being in contact with {}, between {} UTC; none keeps a timer \
         to it, fetched a script or was made to run something, which is what a software rollout looks like.",
        w.hosts,
        sentence(w.destinations),
        w.server,
        between(w.span.0, w.span.1),
    )
}

/// `06:57:46` or `06:57:46–06:57:48`.
fn span(from: Timestamp, to: Timestamp) -> String {
    let (from, to) = (from.clock(), to.clock());
    if from == to { from } else { format!("{from}–{to}") }
}

fn between(from: Timestamp, to: Timestamp) -> String {
    let day = |ts: Timestamp| ts.to_string().chars().take(10).collect::<String>();
    if day(from) == day(to) {
        format!("{} and {}", from.clock(), to.clock())
    } else {
        format!("{} {} and {} {}", day(from), from.clock(), day(to), to.clock())
    }
}

fn later(lag_s: f64) -> String {
    if lag_s < 0.05 { "in the same moment".to_owned() } else { format!("{} later", seconds(lag_s)) }
}

/// `0.4 s`, `41 s`, `12 min`, `2.0 h`.
pub(crate) fn seconds(s: f64) -> String {
    match s {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A chance, small ones as a power of ten.
fn small(p: f64) -> String {
    if p >= 1e-4 { format!("{p:.4}") } else { format!("below 10^{:.0}", p.max(1e-300).log10().ceil()) }
}

/// `a`, `a and b`, `a, b and c`.
fn sentence(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

const fn plural(n: u32) -> &'static str {
    if n == 1 { "" } else { "s" }
}

const fn plural_of(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_as_who_what_when_and_why() {
        let at = |s: i64| Timestamp::from_secs(86_400 * 18_000 + s);
        let words = ChainWords {
            server: "epp01 (10.0.0.5)",
            host: "10.0.0.17",
            doors: "svcctl (CreateServiceW)",
            executed: true,
            acted: (at(25_066), at(25_068)),
            lag_s: 0.41,
            contact: at(25_068),
            destination: "203.0.113.5:80",
            actors_contacts: Some((14, at(25_000))),
            rhythm: Some((29, 5.1)),
            strangers: 0,
            further: 0,
        };
        assert_eq!(
            chain(&words),
            "epp01 (10.0.0.5) made code run on 10.0.0.17 through svcctl (CreateServiceW) at 06:57:46–06:57:48 UTC; \
             0.4 s later, at 06:57:48 UTC, 10.0.0.17 contacted 203.0.113.5:80 for the first time in this data. epp01 \
             (10.0.0.5) contacts it too (14 times since 06:56:40), 10.0.0.17 keeps coming back like a timer, every 5.1 s (29 gaps) and \
             no other host of the site used it before."
        );
    }

    #[test]
    fn a_campaign_says_what_would_be_usual_and_what_it_does_not_know() {
        let at = |s: i64| Timestamp::from_secs(86_400 * 18_000 + s);
        let words = CampaignWords {
            server: "epp01 (10.0.0.5)",
            hosts: 12,
            destinations: &["x.example".to_owned()],
            span: (at(0), at(600)),
            doors: None,
            lags_s: None,
            test: Some((12, 12, 0.4, 120.0, 3.2e-11, 8)),
            timers: 11,
            baseline: false,
        };
        assert_eq!(
            campaign(&words),
            "12 hosts contacted x.example for the first time between 00:00:00 and 00:10:00 UTC, each shortly after \
             being in contact with epp01 (10.0.0.5). 12 of 12 were in contact with epp01 (10.0.0.5) within 2 min \
             before; by accident it would be 0.4 (chance below 10^-10 for any of 8 candidate servers). 11 of them keep \
             coming back like a timer. No baseline: what is usual was judged by this capture alone."
        );
    }
}
