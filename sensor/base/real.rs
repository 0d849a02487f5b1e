//! Numbers that may be no number, written into JSON, which has none for those, and read back.
//!
//! As a field of what is saved: `#[serde(with = "crate::base::real")]`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// A number, or its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Name(String),
}

/// Writes a number.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
pub(crate) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    match number {
        number if number.is_finite() => to.serialize_f64(*number),
        number => to.collect_str(number),
    }
}

/// Reads a number.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    match Written::deserialize(from)? {
        Written::Number(number) => Ok(number),
        Written::Name(name) => match name.as_str() {
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            "NaN" => Ok(f64::NAN),
            _ => Err(D::Error::custom("no number")),
        },
    }
}

#[cfg(test)]
mod tests {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Saved(#[serde(with = "super")] f64);

    #[test]
    fn every_number_reads_back_as_itself() {
        for number in [0.0, -1.5, 0.1 + 0.2, 1e-300, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let text = serde_json::to_string(&Saved(number)).unwrap();
            let Saved(read) = serde_json::from_str(&text).unwrap();
            assert!(read.to_bits() == number.to_bits() || read.is_nan() && number.is_nan(), "{text}");
        }
        assert!(serde_json::from_str::<Saved>("\"twelve\"").is_err());
    }
}
