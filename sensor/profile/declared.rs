//! What an operator declares about the site (`output-contract.md`, `--site FILE`): addresses, names, roles, policies.
//! Plain data; `config` parses the file, so one that exists is valid.

use crate::base::Prefix;
use crate::event::Site;
use std::net::IpAddr;

/// The site as declared (`output-contract.md`): what is inside, who plays which role, what a role may reach.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) site: Site,
    pub(crate) hosts: Vec<DeclaredHost>,
    pub(crate) policies: Vec<Policy>,
    /// The site's time zone: seconds east of UTC; decides which hours are a day and a night.
    pub(crate) utc_offset_s: i32,
}

/// A host somebody named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeclaredHost {
    pub(crate) addresses: Vec<IpAddr>,
    /// Hardware addresses; with any, that is what it is told by, and its addresses are where it usually is.
    pub(crate) macs: Vec<[u8; 6]>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) roles: Vec<HostRole>,
    /// Of an asset list: what the wire says does not take its addresses away.
    pub(crate) pinned: bool,
}

/// What a role may reach outside; works on day one, without a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) role: HostRole,
    pub(crate) may_reach: Vec<MayReach>,
}

/// One entry of `may_reach`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MayReach {
    /// `class:update-infra`
    Class(Box<str>),
    /// `name:*.vendor.example`
    Name(Box<str>),
    /// `10.0.0.0/8`
    Net(Prefix),
}

impl MayReach {
    /// Whether a destination is one it names.
    pub(crate) fn covers(&self, name: Option<&str>, class: Option<&str>, ip: Option<IpAddr>) -> bool {
        match self {
            Self::Class(wanted) => class == Some(&**wanted),
            Self::Net(net) => ip.is_some_and(|ip| net.contains(ip)),
            Self::Name(pattern) => name.is_some_and(|name| match pattern.strip_prefix("*.") {
                Some(parent) => name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
                None => name == &**pattern,
            }),
        }
    }
}

macro_rules! roles {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// What a host is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub(crate) enum HostRole { $($(#[$doc])* $variant),+ }
        impl HostRole {
            /// All of them, in the contract's order.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];
            /// The name in the site file and in records.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

roles! {
    AntivirusManagement = "antivirus_management",
    SoftwareDistribution = "software_distribution",
    UpdateServer = "update_server",
    ConfigurationManagement = "configuration_management",
    Inventory = "inventory",
    RemoteManagement = "remote_management",
    DomainController = "domain_controller",
    Dns = "dns",
    Dhcp = "dhcp",
    Ntp = "ntp",
    FileServer = "file_server",
    Mail = "mail",
    Proxy = "proxy",
    Backup = "backup",
    VulnerabilityScanner = "vulnerability_scanner",
    JumpHost = "jump_host",
    Virtualisation = "virtualisation",
    Printer = "printer",
    Workstation = "workstation",
    Server = "server",
}
