//! Control plane: the only module that knows all the others.

mod analysis;
mod clock;
mod merge;
mod pipeline;
