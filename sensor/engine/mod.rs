//! Control plane: the only module that knows all the others.

mod merge;
