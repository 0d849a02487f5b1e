//! One test binary; each module is a chapter.
