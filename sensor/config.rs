//! The site file and the flags that win over it → `profile::Declared`. Errors point at the TOML line.
