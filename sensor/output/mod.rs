//! Bytes out. Nothing here decides anything; text from the wire is escaped here and nowhere else.
