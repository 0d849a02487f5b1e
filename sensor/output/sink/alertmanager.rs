//! Output `alertmanager`: the Alertmanager API v2, `POST /api/v2/alerts`.
//!
//! Alertmanager forgets an alert whose sender falls silent. Ours are events that stay true, so each says itself until
//! when it is to stand: `hold_h` hours after it was last seen. Absorbed and allowed ones end at once.
//! Severity is a label, since routes ask for it; labels are an alert's identity there, so when it changes the alert
//! with the old one is ended in the same request.

use super::http::{Poster, Url};
use super::stream::TlsFiles;
use super::told::Told;
use super::{Failed, Kind, Origin, Settings, Sink, SinkError};
use crate::base::{Budget, Capped, Table};
use crate::detect::Severity;
use crate::output::json::{self, Object};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// `type = "alertmanager"`.
pub(super) const KIND: Kind =
    Kind { name: "alertmanager", settings: |keys| Keys::deserialize(keys).map(|k| Arc::new(k) as Arc<dyn Settings>) };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// Up to and without `/api/v2/alerts`.
    url: Url,
    /// A bearer token.
    token_file: Option<PathBuf>,
    /// Hours an alert stands after it was last seen.
    #[serde(default = "hold_h")]
    hold_h: u32,
    /// Begins links to alerts: the sensor's or a dashboard's address.
    link: Option<String>,
    #[serde(default)]
    tls: TlsFiles,
}

const fn hold_h() -> u32 {
    24
}

impl Settings for Keys {
    fn open(&self, origin: &Origin) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(Alertmanager {
            poster: Poster::new(&self.url, "/api/v2/alerts", &self.tls, self.token_file.as_ref())?,
            sensor: origin.sensor.clone(),
            hold: Duration::from_secs(u64::from(self.hold_h) * 3600),
            link: self.link.clone(),
            said: said(),
        }))
    }
}

struct Alertmanager {
    poster: Poster,
    sensor: String,
    hold: Duration,
    link: Option<String>,
    /// The severity each alert has there.
    said: Capped<String, Severity>,
}

impl Sink for Alertmanager {
    fn send(&mut self, batch: &[Told]) -> Result<(), Failed> {
        let mut body = Vec::new();
        let mut all = Vec::new();
        for told in batch {
            let before = self.said.get(&told.id).copied().filter(|before| *before != told.severity);
            all.extend(before.map(|before| (told, before, Stands::No)));
            all.push((told, told.severity, if told.is_open() { Stands::Yes } else { Stands::No }));
        }
        json::list(&mut body, all, |out, (told, severity, stands)| {
            json::object(out, |alert| self.alert(alert, told, severity, stands));
        });
        self.poster.post(&body, &[]).map_err(|why| Failed { taken: 0, why })?;
        for told in batch {
            self.said.insert(told.id.clone(), told.severity);
        }
        Ok(())
    }
}

fn said() -> Capped<String, Severity> {
    Capped::new(Budget::new("alertmanager.said", REMEMBERED, 24))
}

/// The table of one such output, empty.
pub(super) fn table() -> Table {
    said().table()
}

#[derive(Clone, Copy)]
enum Stands {
    Yes,
    No,
}

impl Alertmanager {
    fn alert(&self, alert: &mut Object<'_>, told: &Told, severity: Severity, stands: Stands) {
        alert.object("labels", |labels| {
            labels.text("alertname", "YukueAlert");
            labels.text("alert_id", &told.id);
            labels.text("detector", &told.detector);
            labels.text("kind", &told.kind);
            labels.text("severity", severity.name());
            labels.text("sensor", &self.sensor);
        });
        alert.object("annotations", |notes| {
            notes.text("summary", &told.title);
            notes.text("description", &told.explanation);
            notes.text("update", &told.update.to_string());
            notes.text("attack", &told.attack.join(" "));
            notes.text("next_steps", &told.next_steps.join("; "));
        });
        alert.text("startsAt", &told.first_seen().to_string());
        let ends = match stands {
            Stands::Yes => told.last_seen().plus(self.hold),
            Stands::No => told.last_seen(),
        };
        alert.text("endsAt", &ends.max(told.first_seen().plus(SHORTEST)).to_string());
        if let Some(link) = &self.link {
            alert.text("generatorURL", &format!("{}{}", link, told.id));
        }
    }
}

/// As many alerts as the book keeps.
const REMEMBERED: usize = 20_000;
/// An end has to lie after its beginning.
const SHORTEST: Duration = Duration::from_secs(1);
