//! The edge: arguments → exit code.

fn main() {}
