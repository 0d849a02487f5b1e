//! From alerts to the table: a trial is played, judged, and pooled with others into rows with intervals.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts become shares and seconds become days"
)]

pub(crate) mod beside;
pub(crate) mod interval;
pub(crate) mod judge;
pub(crate) mod kept;
pub(crate) mod table;
pub(crate) mod trial;
