//! Query parameters: which are known, what they mean, and what is said about one that is wrong.
//!
//! An empty value is as good as none: that is what a dashboard's variable gives when nothing is chosen.

use super::answer::Problem;
use crate::base::Timestamp;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;

/// The parameters of a request, each at most once.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let wrong = |e: QueryRejection| Problem::Wrong(e.body_text());
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await.map_err(wrong)?;
        for (at, (key, _)) in pairs.iter().enumerate() {
            if pairs.iter().take(at).any(|(earlier, _)| earlier == key) {
                return Err(Problem::Wrong(format!("{key} is given twice; a list is separated by commas")));
            }
        }
        Ok(Self(pairs))
    }
}

/// The one part of a path that names something.
#[derive(Debug)]
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named = Path::<String>::from_request_parts(parts, state).await;
        named.map(|Path(name)| Self(name)).map_err(|e| Problem::Wrong(e.body_text()))
    }
}

impl Params {
    /// Refuses every parameter that is not among `known`.
    pub(super) fn only(self, known: &[&str]) -> Result<Self, Problem> {
        match self.0.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, _)) => {
                Err(Problem::Wrong(format!("there is no parameter {key:?}; known are {}", known.join(", "))))
            }
            None => Ok(self),
        }
    }

    /// A parameter that is there and not empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, value)| known == key && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A list, separated by commas; empty when any will do. Each must be one of `known`.
    pub(super) fn words<'a>(&'a self, key: &str, known: &[&str]) -> Result<Vec<&'a str>, Problem> {
        let words: Vec<&str> = self.text(key).into_iter().flat_map(|text| text.split(',')).collect();
        match words.iter().find(|word| !known.contains(word)) {
            Some(word) => Err(Problem::Wrong(format!("{key}: {word:?} is none of {}", known.join(", ")))),
            None => Ok(words),
        }
    }

    /// A list of any words.
    pub(super) fn list<'a>(&'a self, key: &str) -> Vec<&'a str> {
        self.text(key).into_iter().flat_map(|text| text.split(',')).collect()
    }

    /// `from` and `to`: milliseconds since the epoch, or RFC 3339 with a zone.
    pub(super) fn range(&self) -> Result<(Timestamp, Timestamp), Problem> {
        let moment = |key: &str, otherwise| match self.text(key) {
            Some(text) => moment(text).ok_or_else(|| {
                Problem::Wrong(format!("{key}: {text:?} is neither milliseconds since the epoch nor RFC 3339"))
            }),
            None => Ok(otherwise),
        };
        Ok((moment("from", Timestamp::MIN)?, moment("to", Timestamp::MAX)?))
    }

    /// What stands for a host, a destination or an alert, or for part of one.
    pub(super) fn id(&self, key: &str) -> Result<Option<&str>, Problem> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let fits = |c: char| c.is_ascii_alphanumeric() || ".:_-".contains(c);
        match text.len() <= 255 && text.chars().all(fits) {
            true => Ok(Some(text)),
            false => Err(Problem::Wrong(format!("{key}: {text:?} has other characters than letters, digits and .:_-"))),
        }
    }

    /// `limit`: 1 to [`MAX_LIMIT`], [`LIMIT`] when not given.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.text("limit") else { return Ok(LIMIT) };
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| Problem::Wrong(format!("limit: {text:?} is no number from 1 to {MAX_LIMIT}")))
    }

    /// `cursor`, as an answer's `next` gave it.
    pub(super) fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        let Some(text) = self.text("cursor") else { return Ok(None) };
        let wrong = || Problem::Wrong("cursor: this is not what an answer's \"next\" gave".to_owned());
        let (rank, id) = text.split_once('.').ok_or_else(wrong)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || ":/._-".contains(c);
        let digits = rank.strip_prefix('-').unwrap_or(rank);
        if !id.chars().all(plain) || digits.len() > 19 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        Ok(Some(Cursor { rank: rank.parse().map_err(|_| wrong())?, id: id.into() }))
    }
}

/// Where a page ended: the rank (most first) and id of its last row. What is added meanwhile moves no row to another
/// page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) rank: i64,
    pub(super) id: Box<str>,
}

impl Cursor {
    /// Whether a row lies beyond it, in descending rank, then ascending id.
    pub(super) fn is_before(&self, rank: i64, id: &str) -> bool {
        rank < self.rank || (rank == self.rank && id > &*self.id)
    }

    fn text(&self) -> String {
        format!("{}.{}", self.rank, self.id)
    }
}

/// One page of rows that are in order, and the cursor of the next.
pub(super) fn page<T>(
    rows: impl Iterator<Item = T>,
    limit: usize,
    place: impl Fn(&T) -> Cursor,
) -> (Vec<T>, Option<String>) {
    let mut rows: Vec<T> = rows.take(limit.saturating_add(1)).collect();
    if rows.len() <= limit {
        return (rows, None);
    }
    rows.truncate(limit);
    let next = rows.last().map(|last| place(last).text());
    (rows, next)
}

/// The end of the year 9999.
const LAST_MS: i64 = 253_402_300_799_999;

/// `1764417600000`, or `2025-11-29T12:00:00.5Z`, `…+09:00`.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(ms) = text.parse::<i64>() {
        return (0..=LAST_MS).contains(&ms).then_some(Timestamp(ms.saturating_mul(1_000_000)));
    }
    let (day, time) = text.split_once(['T', 't', ' '])?;
    let day = Timestamp::of_day(day)?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone_at)?;
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [h, m, s] = parts::<3>(whole)?;
    let offset_s = match zone.chars().next()? {
        'Z' | 'z' if zone.len() == 1 => 0,
        sign => {
            let [hours, minutes] = parts::<2>(zone.get(1..)?)?;
            let seconds = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
            if sign == '-' { -seconds } else { seconds }
        }
    };
    let digits = fraction.len() <= 9 && fraction.bytes().all(|b| b.is_ascii_digit());
    let nanos: i64 = digits.then(|| format!("{fraction:0<9}"))?.parse().ok()?;
    let seconds = (h < 24 && m < 60 && s <= 60).then_some(h * 3600 + m * 60 + s)?;
    let at = day.secs().checked_add(seconds - offset_s)?;
    Some(Timestamp::new(at, nanos))
}

/// `N` numbers of two digits with colons between.
fn parts<const N: usize>(text: &str) -> Option<[i64; N]> {
    let mut all = [0; N];
    let mut words = text.split(':');
    for part in &mut all {
        let word = words.next().filter(|word| word.len() == 2 && word.bytes().all(|b| b.is_ascii_digit()))?;
        *part = word.parse().ok()?;
    }
    words.next().is_none().then_some(all)
}

/// Rows of a page when nobody says.
const LIMIT: usize = 100;
/// More than a table shows; the rest is on the next page.
const MAX_LIMIT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_dashboards_and_people_write_them() {
        let noon = Some(Timestamp::from_secs(1_764_417_600));
        for (text, expected) in [
            ("1764417600000", noon),
            ("2025-11-29T12:00:00Z", noon),
            ("2025-11-29T21:00:00+09:00", noon),
            ("2025-11-29T07:30:00.000-04:30", noon),
            ("2025-11-29T12:00:00.25Z", Some(Timestamp::new(1_764_417_600, 250_000_000))),
            ("2025-11-29T12:00:00", None),
            ("2025-11-29", None),
            ("2025-11-29T25:00:00Z", None),
            ("2025-11-29T12:00:00.1234567890Z", None),
            ("2025-11-29T12:00Z", None),
            ("yesterday", None),
            ("T", None),
            ("", None),
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
    }

    #[test]
    fn pages_follow_one_another_without_gap_or_repeat() {
        let rows: Vec<(i64, String)> = (0..25).rev().map(|n| (n / 3, format!("id{n:02}"))).collect();
        let mut sorted = rows.clone();
        sorted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let (mut seen, mut cursor): (Vec<_>, Option<Cursor>) = (Vec::new(), None);
        loop {
            let beyond = |row: &&(i64, String)| cursor.as_ref().is_none_or(|c| c.is_before(row.0, &row.1));
            let place = |row: &&(i64, String)| Cursor { rank: row.0, id: row.1.as_str().into() };
            let (page, next) = page(sorted.iter().filter(beyond), 4, place);
            seen.extend(page.into_iter().cloned());
            let Some(next) = next else { break };
            cursor = Params(vec![("cursor".into(), next)]).cursor().unwrap();
        }
        assert_eq!(seen, sorted);
    }
}
