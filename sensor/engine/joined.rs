//! What the stages behind the profiles know, of two sensors of one site.

use crate::alert;
use crate::base::{BadRecord, Record};
use crate::campaign;
use crate::profile::Renamed;

/// The records of these stages as one; `theirs` get the ids of the joint baseline.
pub(crate) fn joined(ours: &[Record], theirs: &[Record], ids: &Renamed) -> Result<Vec<Record>, BadRecord> {
    let mut all = campaign::merged(ours, theirs, ids)?;
    all.extend(alert::merged(ours, theirs, ids)?);
    Ok(all)
}
