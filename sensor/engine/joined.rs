//! What the stages behind the profiles know, of two sensors of one site; and whether a run would go on from it.

use super::analysis::Analysis;
use crate::alert::{self, Rules};
use crate::base::{BadRecord, Kind, Record};
use crate::campaign;
use crate::detect;
use crate::event::Site;
use crate::intel::Intel;
use crate::profile::{Declared, Renamed};
use std::sync::Arc;

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

/// Whether a run would go on from these. Err: the first record that it would refuse.
pub(crate) fn goes_on(records: &[Record]) -> Result<(), BadRecord> {
    let nobody = Declared { site: Site::new(&[], &[]), hosts: Vec::new(), policies: Vec::new(), utc_offset_s: 0 };
    let run = Analysis::new(Arc::new(nobody), Arc::new(Intel::shipped()), &Rules::shipped());
    run.map_err(|_| BadRecord { kind: Kind::Memory, key: (0, 0) })?.restore(records)
}
