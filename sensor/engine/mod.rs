//! Control plane: the only module that knows all the others.

mod clock;
mod merge;
mod pipeline;
