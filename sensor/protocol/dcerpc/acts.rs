//! Which operations are remote administration, and what they amount to. Matched by interface UUID and number, never by
//! name: names differ between tools' tables (ATT&CK mappings of others miss `NetrJobAdd` for that reason).
//!
//! Numbers from MS-SCMR, MS-TSCH, MS-WMI, MS-DCOM, MS-OAUT, MS-RRP, MS-RSP, MS-EVEN, MS-EVEN6, MS-DRSR.

use super::uuid::Uuid;
use crate::event::{Act, Channel};
use std::sync::LazyLock;

/// What a request amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) channel: Channel,
    pub(super) act: Act,
    /// ATT&CK technique.
    pub(super) technique: Option<&'static str>,
}

/// The meaning of a call, when it is administration at all.
pub(super) fn meaning(interface: Uuid, opnum: u16) -> Option<Meaning> {
    let rows = &*ROWS;
    let first = rows.partition_point(|(uuid, _)| *uuid < interface);
    let of_interface = rows.get(first..)?.iter().take_while(|(uuid, _)| *uuid == interface);
    of_interface
        .map(|(_, row)| row)
        .find(|row| row.opnums.is_empty() || row.opnums.contains(&opnum))
        .map(|row| Meaning { channel: row.channel, act: row.act, technique: row.technique })
}

/// Sorted by interface; rows of one interface keep the table's order, as the sort is stable.
static ROWS: LazyLock<Vec<(Uuid, &'static Row)>> = LazyLock::new(|| {
    let mut rows: Vec<_> = ACTS.iter().filter_map(|row| Some((Uuid::parse(row.interface)?, row))).collect();
    rows.sort_by_key(|(uuid, _)| *uuid);
    rows
});

struct Row {
    interface: &'static str,
    /// Empty: every other operation of the interface.
    opnums: &'static [u16],
    channel: Channel,
    act: Act,
    technique: Option<&'static str>,
}

const fn row(
    interface: &'static str,
    opnums: &'static [u16],
    channel: Channel,
    act: Act,
    technique: &'static str,
) -> Row {
    let technique = if technique.is_empty() { None } else { Some(technique) };
    Row { interface, opnums, channel, act, technique }
}

/// `ISystemActivator` and `IRemoteSCMActivator` share this identifier (MS-DCOM §1.9).
pub(super) const ACTIVATOR: &str = "000001a0-0000-0000-c000-000000000046";
pub(super) const ACTIVATION: &str = "4d9f4ab8-7d1c-11cf-861e-0020af6e7c57";
pub(super) const SVCCTL: &str = "367abb81-9844-35f1-ad32-98f038001003";
const TASKS: &str = "86d35949-83c9-4044-b424-db363231fd0c";
const ATSVC: &str = "1ff70682-0a51-30e8-076d-740be8cee98b";
const SASEC: &str = "378e52b0-c0a9-11cf-822d-00aa0051e40f";
const WBEM_SERVICES: &str = "9556dc99-828c-11cf-a37e-00aa003240c7";
const WBEM_LOGIN: &str = "f309ad18-d86a-11d0-a075-00c04fb68820";
const DISPATCH: &str = "00020400-0000-0000-c000-000000000046";
const WINREG: &str = "338cd001-2244-31f1-aaaa-900038001003";
const INIT_SHUTDOWN: &str = "894de0c0-0d55-11d3-a322-00c04fa321a1";
const WINDOWS_SHUTDOWN: &str = "d95afe70-a6d5-4259-822e-2c84da1ddb0d";
const EVENTLOG: &str = "82273fdc-e32a-18c3-3f78-827929dc23ea";
const EVENTLOG6: &str = "f6beaff7-1e19-4fbb-9f8f-b89e2018337c";
const DRSUAPI: &str = "e3514235-4b06-11d1-ab04-00c04fc2dcd2";

use Act::{Administer, Execute, Prepare};

/// The first matching row of an interface decides, so its "every other" row comes last.
#[rustfmt::skip]
static ACTS: &[Row] = &[
    // StartServiceW/A run code at once; creating, or pointing an existing service elsewhere, makes it ready.
    row(SVCCTL, &[19, 31], Channel::Svcctl, Execute, "T1569.002"),
    row(SVCCTL, &[12, 24, 44, 45, 60], Channel::Svcctl, Prepare, "T1569.002"),
    row(SVCCTL, &[11, 23, 36, 37], Channel::Svcctl, Prepare, "T1543.003"),
    row(SVCCTL, &[1, 50, 51], Channel::Svcctl, Administer, "T1489"),
    row(SVCCTL, &[2], Channel::Svcctl, Administer, "T1070.009"),
    row(SVCCTL, &[], Channel::Svcctl, Administer, ""),
    // SchRpcRegisterTask may carry a registration trigger and so run at once, like SchRpcRun.
    row(TASKS, &[1, 12], Channel::Tasksched, Execute, "T1053.005"),
    row(TASKS, &[4, 19], Channel::Tasksched, Prepare, "T1053.005"),
    row(TASKS, &[13], Channel::Tasksched, Administer, "T1070.009"),
    row(TASKS, &[], Channel::Tasksched, Administer, ""),
    // NetrJobAdd
    row(ATSVC, &[0], Channel::Atsvc, Execute, "T1053.002"),
    row(ATSVC, &[], Channel::Atsvc, Administer, "T1053.002"),
    row(SASEC, &[], Channel::Atsvc, Administer, "T1053.005"),
    // ExecMethod(Async) is Win32_Process.Create above all; PutClass and PutInstance lay subscriptions.
    row(WBEM_SERVICES, &[24, 25], Channel::Wmi, Execute, "T1047"),
    row(WBEM_SERVICES, &[8, 9, 14, 15], Channel::Wmi, Prepare, "T1546.003"),
    row(WBEM_SERVICES, &[], Channel::Wmi, Administer, "T1047"),
    row(WBEM_LOGIN, &[], Channel::Wmi, Administer, "T1047"),
    // Activation: the class decides whether it is more (see `dcom`). Invoke calls a method of the object.
    row(ACTIVATOR, &[3, 4], Channel::Dcom, Administer, "T1021.003"),
    row(ACTIVATION, &[0], Channel::Dcom, Administer, "T1021.003"),
    row(DISPATCH, &[6], Channel::Dcom, Execute, "T1021.003"),
    // BaseRegCreateKey, SetValue, LoadKey, ReplaceKey, RestoreKey; hives saved are credentials taken.
    row(WINREG, &[6, 22], Channel::Winreg, Prepare, "T1112"),
    row(WINREG, &[13, 18, 19], Channel::Winreg, Prepare, "T1112"),
    row(WINREG, &[20, 31], Channel::Winreg, Administer, "T1003.002"),
    row(WINREG, &[24, 30], Channel::Shutdown, Execute, "T1529"),
    row(WINREG, &[7, 8, 21, 23, 35], Channel::Winreg, Administer, "T1112"),
    row(WINREG, &[], Channel::Winreg, Administer, "T1012"),
    row(INIT_SHUTDOWN, &[], Channel::Shutdown, Execute, "T1529"),
    row(WINDOWS_SHUTDOWN, &[], Channel::Shutdown, Execute, "T1529"),
    // ElfrClearELFW/A, EvtRpcClearLog; EvtRpcPutChannelConfig can switch logging off.
    row(EVENTLOG, &[0, 12], Channel::Eventlog, Administer, "T1070.001"),
    row(EVENTLOG, &[], Channel::Eventlog, Administer, "T1654"),
    row(EVENTLOG6, &[6], Channel::Eventlog, Administer, "T1070.001"),
    row(EVENTLOG6, &[21], Channel::Eventlog, Administer, "T1562.002"),
    row(EVENTLOG6, &[], Channel::Eventlog, Administer, "T1654"),
    // DRSGetNCChanges and what replicates secrets or plants a rogue controller. Whether the caller is a domain
    // controller is not for a parser to know.
    row(DRSUAPI, &[2, 3], Channel::Drsuapi, Administer, "T1003.006"),
    row(DRSUAPI, &[4, 5, 17], Channel::Drsuapi, Administer, "T1207"),
    row(DRSUAPI, &[20], Channel::Drsuapi, Administer, "T1134.005"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_mean_what_they_do_to_the_machine() {
        for (what, interface, opnum, expected) in [
            ("StartServiceW", SVCCTL, 19, Some((Channel::Svcctl, Execute))),
            ("CreateServiceW", SVCCTL, 12, Some((Channel::Svcctl, Prepare))),
            ("ChangeServiceConfigW, the fileless trick", SVCCTL, 11, Some((Channel::Svcctl, Prepare))),
            ("OpenSCManagerW", SVCCTL, 15, Some((Channel::Svcctl, Administer))),
            ("SchRpcRun", TASKS, 12, Some((Channel::Tasksched, Execute))),
            ("NetrJobAdd", ATSVC, 0, Some((Channel::Atsvc, Execute))),
            ("ExecMethod", WBEM_SERVICES, 24, Some((Channel::Wmi, Execute))),
            ("ExecQuery", WBEM_SERVICES, 20, Some((Channel::Wmi, Administer))),
            ("RemoteCreateInstance", ACTIVATOR, 4, Some((Channel::Dcom, Administer))),
            ("Invoke", DISPATCH, 6, Some((Channel::Dcom, Execute))),
            ("GetIDsOfNames runs nothing", DISPATCH, 5, None),
            ("BaseRegSetValue", WINREG, 22, Some((Channel::Winreg, Prepare))),
            ("DRSGetNCChanges", DRSUAPI, 3, Some((Channel::Drsuapi, Administer))),
            ("DRSBind", DRSUAPI, 0, None),
            ("EvtRpcClearLog", EVENTLOG6, 6, Some((Channel::Eventlog, Administer))),
            ("an endpoint mapper look-up", "e1af8308-5d1f-11c9-91a4-08002b14a0fa", 3, None),
        ] {
            let got = meaning(Uuid::parse(interface).unwrap(), opnum).map(|m| (m.channel, m.act));
            assert_eq!(got, expected, "{what}");
        }
    }

    #[test]
    fn every_row_names_an_interface() {
        assert_eq!(ROWS.len(), ACTS.len());
    }
}
