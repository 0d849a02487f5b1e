//! The labels of metrics: closed sets, so that no address, name or other text from the wire can become one.
//!
//! What a set holds is known at compile time, or it is configured: interfaces and detectors are fixed when the sensor
//! starts, outputs and feeds are those of the latest reload. A label value is a position in its set; one that lies
//! outside is the last, `other`.

/// One label name and where its values come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dimension {
    /// As it stands in the exposition.
    pub(crate) label: &'static str,
    values: Values,
}

#[derive(Clone, Copy, Debug)]
enum Values {
    Closed(&'static [&'static str]),
    Configured(fn(&Configured) -> &[Box<str>]),
}

/// The sets that a configuration fixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Configured {
    /// Interfaces captured from.
    pub(crate) interfaces: Vec<Box<str>>,
    /// Stems of all rules in force.
    pub(crate) detectors: Vec<Box<str>>,
    /// Names of outputs.
    pub(crate) outputs: Vec<Box<str>>,
    /// Tables and feeds about the outside.
    pub(crate) feeds: Vec<Box<str>>,
    /// Names of destination classes, `rules/intel/destination_classes.csv`.
    pub(crate) classes: Vec<Box<str>>,
}

impl Dimension {
    /// How many values there are.
    pub(super) fn len(&self, configured: &Configured) -> usize {
        match self.values {
            Values::Closed(names) => names.len(),
            Values::Configured(of) => of(configured).len(),
        }
    }

    /// The value at a position.
    pub(super) fn value<'a>(&self, configured: &'a Configured, at: usize) -> &'a str {
        match self.values {
            Values::Closed(names) => names.get(at).copied().unwrap_or_default(),
            Values::Configured(of) => of(configured).get(at).map_or("", |name| name),
        }
    }

    /// For the documentation: the values of a closed set.
    pub(super) const fn closed(&self) -> Option<&'static [&'static str]> {
        match self.values {
            Values::Closed(names) => Some(names),
            Values::Configured(_) => None,
        }
    }
}

/// A value of one label.
pub(crate) trait Label: Copy {
    /// Which label.
    const DIMENSION: Dimension;
    /// Position in its set.
    fn position(self) -> usize;
}

/// A label whose value is known at compile time.
pub(crate) trait Labelled: Sized {
    /// The value in the exposition.
    fn name(self) -> &'static str;
    /// The one of this name.
    fn called(name: &str) -> Option<Self>;
}

/// All values of the labels of one metric, in order.
pub(crate) trait Labels: Copy {
    /// Which labels.
    const DIMENSIONS: &'static [Dimension];
    /// Position in the product of their sets; the sizes of the sets are given.
    fn position(self, sizes: &[usize]) -> usize;
}

impl Labels for () {
    const DIMENSIONS: &'static [Dimension] = &[];

    fn position(self, _: &[usize]) -> usize {
        0
    }
}

macro_rules! products {
    ($(($($name:ident $at:tt),+))+) => {$(
        impl<$($name: Label),+> Labels for ($($name,)+) {
            const DIMENSIONS: &'static [Dimension] = &[$($name::DIMENSION),+];

            fn position(self, sizes: &[usize]) -> usize {
                let mut at = 0_usize;
                $(
                    let size = sizes.get($at).copied().unwrap_or(1).max(1);
                    at = at.saturating_mul(size).saturating_add(self.$at.position().min(size - 1));
                )+
                at
            }
        }
    )+};
}

products! { (A 0) (A 0, B 1) (A 0, B 1, C 2) }

macro_rules! closed {
    ($($(#[$doc:meta])* $name:ident($label:literal) { $($variant:ident = $value:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(dead_code, reason = "a set is listed whole, whatever this build can tell apart")]
        pub(crate) enum $name { $($variant),+ }

        impl Label for $name {
            const DIMENSION: Dimension = Dimension { label: $label, values: Values::Closed(&[$($value),+]) };

            fn position(self) -> usize {
                self as usize
            }
        }

        impl Labelled for $name {
            fn name(self) -> &'static str {
                match self { $(Self::$variant => $value),+ }
            }

            fn called(name: &str) -> Option<Self> {
                match name { $($value => Some(Self::$variant),)+ _ => None }
            }
        }
    )+};
}

macro_rules! configured {
    ($($(#[$doc:meta])* $name:ident($label:literal) = $field:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(crate) usize);

        impl Label for $name {
            const DIMENSION: Dimension =
                Dimension { label: $label, values: Values::Configured(|configured| &configured.$field) };

            fn position(self) -> usize {
                self.0
            }
        }
    )+};
}

configured! {
    /// An interface, by its position in the configuration.
    Interface("interface") = interfaces;
    /// A detector or join, by the position of its rule.
    Detector("detector") = detectors;
    /// An output, by its position in the configuration.
    Output("output") = outputs;
    /// A table or feed about the outside.
    Feed("feed") = feeds;
    /// What sort of place a destination is.
    Class("destination_class") = classes;
}

closed! {
    /// Where a packet was lost.
    LossStage("stage") { Nic = "nic", Kernel = "kernel", Queue = "queue", Shed = "shed" }
    /// What carries a packet or flow.
    Carrier("transport") { Tcp = "tcp", Udp = "udp", Icmp = "icmp", Other = "other" }
    /// Why a frame did not become a packet.
    DecodeReason("reason") {
        Link = "link", Ethernet = "ethernet", Vlan = "vlan", Mpls = "mpls", Pppoe = "pppoe", Wireless = "wireless",
        Arp = "arp", Ipv4 = "ipv4", Ipv6 = "ipv6", Fragment = "fragment", Tcp = "tcp", Udp = "udp", Icmp = "icmp",
        Sctp = "sctp", TooDeep = "too_deep", Other = "other",
    }
    /// What a packet was wrapped in.
    Encap("encap") {
        Vlan = "vlan", Qinq = "qinq", Mpls = "mpls", Vxlan = "vxlan", Geneve = "geneve", Gre = "gre",
        Erspan = "erspan",
    }
    /// A bounded queue between two stages.
    Queue("queue") { Packets = "packets", Observations = "observations" }
    /// A part of the pipeline that works in batches: decoding and flows, profiles and detection, records.
    BatchStage("stage") {
        Packets = "packets", Analysis = "analysis", Output = "output",
    }
    /// What went wrong and was contained.
    Fault("fault") {
        PacketPanic = "packet_panic", AnalysisPanic = "analysis_panic", DetectorPanic = "detector_panic",
        ClockStep = "clock_step", InterfaceDown = "interface_down", BaselineSetAside = "baseline_set_aside",
        BaselineUnsaved = "baseline_unsaved", ReloadRefused = "reload_refused",
    }
    /// Why a flow's record was written.
    FlowEnd("reason") {
        Fin = "fin", Rst = "rst", Idle = "idle", Active = "active", Evicted = "evicted", CaptureEnd = "capture_end",
    }
    /// Who holds memory.
    Component("component") {
        Process = "process", Flows = "flows", Profiles = "profiles", Detectors = "detectors",
        Campaigns = "campaigns", Alerts = "alerts", Api = "api", Queue = "queue",
    }
    /// What a host of the site is for, in eight groups.
    RoleGroup("role") {
        Workstation = "workstation", Server = "server", MgmtServer = "mgmt_server",
        NetworkDevice = "network_device", Iot = "iot", Guest = "guest", Unknown = "unknown", Other = "other",
    }
    /// Which way bytes went.
    Way("direction") { Out = "out", In = "in" }
    /// How much an alert matters.
    Level("severity") { Info = "info", Low = "low", Medium = "medium", High = "high", Critical = "critical" }
    /// Why nobody was told.
    Suppression("reason") {
        Allowlist = "allowlist", Duplicate = "duplicate", RateLimit = "rate_limit", Learning = "learning",
    }
    /// How well a host is known.
    BaselineState("state") { Learning = "learning", Ready = "ready", Stale = "stale" }
    /// How an output took an event.
    Delivery("result") { Ok = "ok", Retry = "retry", Dropped = "dropped" }
    /// What is kept on disk.
    Stored("kind") { Flows = "flows", Alerts = "alerts", Evidence = "evidence" }
    /// Where a rule comes from.
    RuleKind("kind") { Builtin = "builtin", Local = "local", Pack = "pack" }
    /// What a request asked for.
    Handler("handler") {
        Metrics = "metrics", Health = "health", Status = "status", Alerts = "alerts", Findings = "findings",
        Hosts = "hosts", Destinations = "destinations", Graph = "graph", Document = "document", Other = "other",
    }
    /// How a request was answered.
    Code("code") {
        Ok = "200", BadRequest = "400", Unauthorized = "401", Forbidden = "403", NotFound = "404",
        MethodNotAllowed = "405", Timeout = "408", Conflict = "409", TooLarge = "413", TooMany = "429",
        Internal = "500", Unavailable = "503",
    }
}

macro_rules! as_label {
    ($($(#[$doc:meta])* $name:ident($label:literal) is $of:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $of);

        impl Label for $name {
            const DIMENSION: Dimension = Dimension { label: $label, ..$of::DIMENSION };

            fn position(self) -> usize {
                self.0.position()
            }
        }
    )+};
}

as_label! {
    /// The role of who began.
    SourceRole("source_role") is RoleGroup;
    /// The role of who answered.
    DestRole("dest_role") is RoleGroup;
}

/// The build, one value a label.
macro_rules! constants {
    ($($name:ident($label:literal) = $value:expr;)+) => {$(
        /// A constant of the build.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name;

        impl Label for $name {
            const DIMENSION: Dimension = Dimension { label: $label, values: Values::Closed(&[$value]) };

            fn position(self) -> usize {
                0
            }
        }
    )+};
}

constants! {
    Version("version") = env!("CARGO_PKG_VERSION");
    Revision("revision") = env!("YUKUE_REVISION");
    Rustc("rustc") = env!("YUKUE_RUSTC");
}

impl Code {
    /// The one that stands for an HTTP status; what we do not send is counted with its class.
    pub(crate) const fn of(status: u16) -> Self {
        match status {
            200..=399 => Self::Ok,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            408 => Self::Timeout,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            429 => Self::TooMany,
            503 => Self::Unavailable,
            400..=499 => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_keep_to_their_limits() {
        let none = Configured::default();
        assert_eq!(RoleGroup::DIMENSION.len(&none), 8, "at most 8 role groups, other included");
        assert!(DecodeReason::DIMENSION.len(&none) <= 16);
        assert_eq!(RoleGroup::Other.name(), "other");
    }

    #[test]
    fn a_position_beyond_its_set_is_the_last() {
        let sizes = [2, 5];
        assert_eq!((Detector(1), Level::Low).position(&sizes), 6);
        assert_eq!((Detector(9), Level::Low).position(&sizes), 6);
        assert_eq!((Interface(3),).position(&[0]), 0);
    }
}
