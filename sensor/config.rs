//! `rules/` and the site file → typed configuration; errors point at the TOML line.
