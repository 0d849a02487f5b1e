//! Findings of many hosts → one story.
