//! A baseline written down as JSON, and read back: everything, losslessly.

use super::baseline::Baseline;
use super::saved::Saved;
use crate::base::{Kind, Meeting, Record};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A text that is no exported baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no exported baseline: {0}")]
pub(crate) struct NotExported(String);

impl Baseline {
    /// As JSON: one object a record, its kind by name. What other stages remember is hexadecimal, and so is the `index` of
    /// who met whom, which a text of before has not.
    pub(crate) fn export(&self, index: &[Record]) -> Value {
        let (known, others) = self.parts();
        let entry = |((kind, key), saved): (&(Kind, (u32, u32)), &Saved)| json!({ "kind": kind.name(), "key": [key.0, key.1], "data": saved.value() });
        let bytes = |record: &Record| {
            let bytes = record.value.as_deref().map(hex::encode).unwrap_or_default();
            json!({ "kind": record.kind.name(), "key": [record.key.0, record.key.1], "bytes": bytes })
        };
        let records: Vec<Value> = known.iter().map(entry).chain(others.values().map(bytes)).collect();
        let index: Vec<Value> = index.iter().map(bytes).collect();
        json!({ "format": FORMAT, "version": VERSION, "records": records, "index": index })
    }

    /// Reads what `export` wrote: the baseline, and the index.
    pub(crate) fn import(written: &Value) -> Result<(Self, Vec<Record>), NotExported> {
        let wrong = |what: &str| NotExported(what.to_owned());
        if written.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(wrong("its format is not named"));
        }
        if written.get("version").and_then(Value::as_u64) != Some(VERSION) {
            return Err(NotExported(format!("its version is not {VERSION}")));
        }
        let list = written.get("records").and_then(Value::as_array).ok_or_else(|| wrong("it has no records"))?;
        let (mut known, mut others) = (BTreeMap::new(), BTreeMap::new());
        for (n, entry) in list.iter().enumerate() {
            let wrong = |what: &str| NotExported(format!("record {n}: {what}"));
            let (kind, key) = about(entry).map_err(|what| wrong(&what))?;
            if let Some(bytes) = entry.get("bytes") {
                let value = Some(decoded(bytes).map_err(|what| wrong(&what))?);
                others.insert((kind, key), Record { kind, key, value });
            } else {
                let data = entry.get("data").cloned().unwrap_or_default();
                let saved = Saved::of_value(kind, data).map_err(|e| wrong(&e.to_string()))?;
                // Through the record, so that what makes no sense is found here and not in a later run.
                let whole = saved.as_ref().map(|saved| Saved::read(&saved.record(key)));
                match whole {
                    Some(Ok(Some(saved))) => drop(known.insert((kind, key), saved)),
                    Some(_) => return Err(wrong("it makes no sense")),
                    None => return Err(wrong("its kind has no data")),
                }
            }
        }
        if !known.contains_key(&(Kind::Fleet, (0, 0))) {
            return Err(wrong("it holds nothing"));
        }
        let index = written.get("index").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let pair = |(n, entry): (usize, &Value)| {
            let wrong = |what: String| NotExported(format!("pair {n} of the index: {what}"));
            let (kind, key) = about(entry).map_err(wrong)?;
            let value = entry.get("bytes").ok_or_else(|| wrong("it has no bytes".to_owned()))?;
            let record = Record { kind, key, value: Some(decoded(value).map_err(wrong)?) };
            let is_whole = matches!(kind, Kind::Met | Kind::Acted) && Meeting::read(&record).is_some();
            if is_whole { Ok(record) } else { Err(wrong("it makes no sense".to_owned())) }
        };
        let index = index.iter().enumerate().map(pair).collect::<Result<_, _>>()?;
        Ok((Self::of_parts(known, others), index))
    }
}

/// The kind and the key of an entry.
fn about(entry: &Value) -> Result<(Kind, (u32, u32)), String> {
    let name = entry.get("kind").and_then(Value::as_str).unwrap_or_default();
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or("no such kind")?;
    let key = serde_json::from_value(entry.get("key").cloned().unwrap_or_default());
    Ok((kind, key.map_err(|error| error.to_string())?))
}

fn decoded(bytes: &Value) -> Result<Vec<u8>, String> {
    hex::decode(bytes.as_str().unwrap_or_default()).map_err(|error| error.to_string())
}

const FORMAT: &str = "yukue-baseline";
const VERSION: u64 = 1;
