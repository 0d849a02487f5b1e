//! Words for numbers: what a tired person reads first. Pure functions; times are UTC.

use crate::base::{Arg, Text, Timestamp, say};

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
pub(crate) fn chain(w: &ChainWords<'_>) -> Text {
    let later = match w.lag_s {
        s if s < 0.05 => Arg::term("in the same moment"),
        s => say!("chain.later", span = Arg::Span(s)).into(),
    };
    let mut cues = Vec::new();
    if let Some((times, since)) = w.actors_contacts {
        cues.push(say!("chain.actor_too", server = w.server, times = times, since = since.clock_beside(w.contact)));
    }
    if let Some((gaps, median)) = w.rhythm {
        cues.push(say!("chain.rhythm", host = w.host, median = Arg::Span(median), gaps = gaps));
    }
    cues.push(match w.strangers {
        0 => say!("chain.nobody"),
        others => say!("chain.strangers", others = others),
    });
    let text = say!(
        "chain.acted",
        server = w.server,
        verb = Arg::term(if w.executed { "made code run on" } else { "prepared something on" }),
        host = w.host,
        doors = w.doors,
        acted = span(w.acted.0, w.acted.1),
        later = later,
        contact = w.contact.clock_beside(w.acted.0),
        destination = w.destination,
        cues = Arg::list(cues),
    );
    if w.further > 0 { say!("chain.further", first = text, further = w.further) } else { text }
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
    /// The destination is one they used before: what is told is when.
    pub(crate) led: bool,
}

/// A campaign in two to four sentences.
pub(crate) fn campaign(w: &CampaignWords<'_>) -> Text {
    let (from, to) = between(w.span.0, w.span.1);
    let destinations = Arg::list(w.destinations);
    let mut said = vec![match (w.doors, w.lags_s) {
        (Some((doors, machines)), Some((least, most))) => say!(
            "campaign.acted",
            server = w.server,
            machines = machines,
            doors = doors,
            hosts = w.hosts,
            destinations = destinations,
            from = from,
            to = to,
            least = Arg::Span(least),
            most = Arg::Span(most),
        ),
        _ if w.led => {
            say!("campaign.led", hosts = w.hosts, destinations = destinations, from = from, to = to, server = w.server,)
        }
        _ => {
            say!("campaign.met", hosts = w.hosts, destinations = destinations, from = from, to = to, server = w.server,)
        }
    }];
    if let Some((exposed, cases, expected, scale, p, candidates)) = w.test {
        let (scale, expected, chance) = (Arg::Span(scale), format!("{expected:.1}"), small(p));
        said.push(if w.led {
            say!(
                "campaign.led_test",
                led = exposed,
                machines = cases,
                scale = scale,
                expected = expected,
                chance = chance,
                candidates = candidates,
            )
        } else {
            say!(
                "campaign.test",
                exposed = exposed,
                cases = cases,
                server = w.server,
                scale = scale,
                expected = expected,
                chance = chance,
                candidates = candidates,
            )
        });
    }
    if w.timers > 0 {
        said.push(say!("campaign.timers", timers = w.timers));
    }
    said.push(say!("campaign.otherwise", server = w.server));
    if !w.baseline {
        said.push(say!("campaign.no_baseline"));
    }
    Text::of(said)
}

/// A rollout in one sentence.
pub(crate) fn rollout(w: &CampaignWords<'_>) -> Text {
    let (from, to) = between(w.span.0, w.span.1);
    let destinations = Arg::list(w.destinations);
    say!("campaign.rollout", hosts = w.hosts, destinations = destinations, server = w.server, from = from, to = to,)
}

/// What an administrator fetched, in one sentence.
pub(crate) fn visit(w: &CampaignWords<'_>) -> Text {
    let (from, to) = between(w.span.0, w.span.1);
    let destinations = Arg::list(w.destinations);
    say!("campaign.visit", hosts = w.hosts, destinations = destinations, server = w.server, from = from, to = to,)
}

/// `06:57:46` or `06:57:46–06:57:48`.
fn span(from: Timestamp, to: Timestamp) -> String {
    let (begin, end) = (from.clock_beside(to), to.clock_beside(from));
    if begin == end { begin } else { format!("{begin}–{end}") }
}

/// Two moments, with their days when these differ.
fn between(from: Timestamp, to: Timestamp) -> (String, String) {
    (from.clock_beside(to), to.clock_beside(from))
}

/// A chance, small ones as a power of ten.
fn small(p: f64) -> Arg {
    if p >= 1e-4 {
        format!("{p:.4}").into()
    } else {
        say!("campaign.below", power = format!("{:.0}", p.max(1e-300).log10().ceil())).into()
    }
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
            chain(&words).to_string(),
            "epp01 (10.0.0.5) made code run on 10.0.0.17 through svcctl (CreateServiceW) at 06:57:46–06:57:48 UTC; \
             0.4 s later, at 06:57:48 UTC, 10.0.0.17 contacted 203.0.113.5:80 for the first time in this data. In \
             addition, epp01 (10.0.0.5) contacts it too (14 times since 06:56:40), 10.0.0.17 keeps coming back like a timer, every 5.1 s (29 gaps) and \
             no other host of the site used it before. An installer run from afar that registers with its vendor looks the \
             same."
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
            led: false,
        };
        assert_eq!(
            campaign(&words).to_string(),
            "12 hosts contacted x.example for the first time between 00:00:00 and 00:10:00 UTC, each shortly after \
             being in contact with epp01 (10.0.0.5). 12 of 12 were in contact with epp01 (10.0.0.5) within 2 min \
             before; by accident it would be 0.4 (chance below 10^-10 for any of 8 candidate servers). 11 of them keep \
             coming back like a timer. A planned rollout that keeps a timer looks the same: whoever runs epp01 (10.0.0.5) \
             knows. No baseline: what is usual was judged by this capture alone."
        );
    }
}
