//! Packets → flows and their byte streams.
