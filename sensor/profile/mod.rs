//! What is usual for a local host.
