//! One test binary; each module is a chapter.

mod architecture;
