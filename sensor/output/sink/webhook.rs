//! Output `webhook`: one POST an alert, its record as the body.
//!
//! Headers: `X-Yukue-Id` and `X-Yukue-Update`, joined in `Idempotency-Key`, name the telling; `X-Yukue-Sensor` the
//! sender. With a secret, `X-Yukue-Signature: sha256=HEX` is HMAC-SHA256 (RFC 2104) over the body. A repeated or replayed
//! request has the same key, so no time stamp is signed.

use super::http::{Poster, Url, secret};
use super::stream::TlsFiles;
use super::told::Told;
use super::{Failed, Kind, Origin, Settings, Sink, SinkError};
use ring::hmac;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// `type = "webhook"`.
pub(super) const KIND: Kind =
    Kind { name: "webhook", settings: |keys| Keys::deserialize(keys).map(|k| Arc::new(k) as Arc<dyn Settings>) };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    url: Url,
    /// The key of the signature.
    secret_file: Option<PathBuf>,
    /// A bearer token.
    token_file: Option<PathBuf>,
    #[serde(default)]
    tls: TlsFiles,
}

impl Settings for Keys {
    fn open(&self, origin: &Origin) -> Result<Box<dyn Sink>, SinkError> {
        let poster = Poster::new(&self.url, "", &self.tls, self.token_file.as_ref())?;
        let key = self.secret_file.as_deref().map(secret).transpose()?;
        let key = key.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        let sensor = origin.sensor.chars().filter(char::is_ascii_graphic).collect();
        Ok(Box::new(Webhook { poster, key, sensor }))
    }
}

struct Webhook {
    poster: Poster,
    key: Option<hmac::Key>,
    sensor: String,
}

impl Sink for Webhook {
    fn send(&mut self, batch: &[Told]) -> Result<(), Failed> {
        for (taken, told) in batch.iter().enumerate() {
            let (update, key) = (told.update.to_string(), told.key());
            let signature = self.key.as_ref().map(|key| format!("sha256={}", hex::encode(hmac::sign(key, &told.line))));
            let mut headers = vec![
                ("x-yukue-id", told.id.as_str()),
                ("x-yukue-update", update.as_str()),
                ("idempotency-key", key.as_str()),
                ("x-yukue-sensor", self.sensor.as_str()),
            ];
            headers.extend(signature.as_deref().map(|signature| ("x-yukue-signature", signature)));
            self.poster.post(&told.line, &headers).map_err(|why| Failed { taken, why })?;
        }
        Ok(())
    }
}
