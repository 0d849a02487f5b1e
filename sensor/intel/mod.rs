//! Facts about the outside, loaded from `rules/intel/`.
