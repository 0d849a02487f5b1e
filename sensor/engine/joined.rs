//! What the stages behind the profiles know, of two sensors of one site.

use crate::alert::{self, Rules};
use crate::base::{BadRecord, Kind, Record};
use crate::campaign;
use crate::detect;
use crate::profile::Renamed;

/// The records of these stages as one; `theirs` get the ids of the joint baseline.
pub(crate) fn joined(ours: &[Record], theirs: &[Record], ids: &Renamed) -> Result<Vec<Record>, BadRecord> {
    let mut all = campaign::merged(ours, theirs, ids)?;
    all.extend(alert::merged(ours, theirs, ids)?);
    // What is remembered does not depend on the rules; the shipped ones are right.
    let built = Rules::shipped().build();
    let (mut detectors, mut scorer, _) = built.map_err(|_| BadRecord { kind: Kind::Memory, key: (0, 0) })?;
    all.extend(detect::merged((&mut detectors, &mut scorer), ours, theirs, ids)?);
    Ok(all)
}
