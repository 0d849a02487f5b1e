//! Kinds of programs a client hello tells apart (`detection.md` §5.1).

/// A kind of program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Class {
    Browser,
    System,
    Script,
    Unknown,
}

/// All of them; counts by class are in this order.
pub(super) const CLASSES: [Class; 4] = [Class::Browser, Class::System, Class::Script, Class::Unknown];

impl Class {
    /// Its place among them.
    pub(super) fn at(self) -> usize {
        CLASSES.iter().position(|class| *class == self).unwrap_or(0)
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Browser => "a browser",
            Self::System => "the Windows system library, as PowerShell and .NET use it",
            Self::Script => "a script or command line tool",
            Self::Unknown => "a program nobody knows",
        }
    }
}
