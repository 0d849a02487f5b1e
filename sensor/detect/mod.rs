//! One file a detector, each with `rules/<same name>.toml`.
