//! Findings and campaigns → what a person reads.
