//! Bytes out; nothing here decides anything.
