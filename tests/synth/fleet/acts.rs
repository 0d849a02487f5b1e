//! What administration and its abuse look like to the left side: acts with interface, operation number and name.

use super::dice::Dice;
use super::flow::{Flow, Over, Says};
use super::{Ms, Ns};
use yukue::event::{Act, Channel, Event, Execution, File, FileAction, Rpc, Share};

/// By which door a machine is made to run something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Door {
    Winrm,
    Svcctl,
    Wmi,
    Task,
}

/// A command is run on `resp` by a door.
pub(crate) fn run(ts: Ns, orig: u32, resp: u32, door: Door, dice: &mut Dice) -> Flow {
    let (port, facts) = match door {
        Door::Winrm => (
            5985,
            vec![
                (150, act(Channel::Winrm, Act::Execute, None, None, "Create", "/wsman", "T1021.006")),
                (420, act(Channel::Winrm, Act::Execute, None, None, "Command", "/wsman", "T1021.006")),
            ],
        ),
        Door::Svcctl => (445, service(dice)),
        Door::Wmi => {
            (49_700, vec![(120, wmi(6, "NTLMLogin", Act::Administer)), (300, wmi(0x18, "ExecMethod", Act::Execute))])
        }
        Door::Task => (
            49_680,
            vec![
                (110, task(1, "SchRpcRegisterTask", Act::Prepare)),
                (240, task(12, "SchRpcRun", Act::Execute)),
                (900, task(13, "SchRpcDelete", Act::Administer)),
            ],
        ),
    };
    let up = dice.octaves(8_000.0, 60_000.0) as u32;
    let lasts = dice.between(2_000.0, 30_000.0) as Ms;
    let says = Says::Facts(with_calls(facts).into());
    Flow { ts, orig, resp, port, over: Over::Tcp, lasts, up, down: up / 2, says }
}

/// One act on one connection.
pub(crate) fn single(ts: Ns, orig: u32, resp: u32, port: u16, event: Event) -> Flow {
    Flow::inner(ts, orig, resp, port, 4_000, 3_000).saying(Says::Facts(with_calls(vec![(120, event)]).into()))
}

/// Who reads DCE-RPC tells each call, and then what it does to the machine, if it does anything.
fn with_calls(facts: Vec<(Ms, Event)>) -> Vec<(Ms, Event)> {
    let call = |event: &Event| {
        let Event::Execution(act) = event else { return None };
        let (interface, opnum) = (act.interface.clone()?, act.opnum?);
        let (operation, endpoint) = (act.operation.clone(), act.endpoint.clone());
        Some(Event::Rpc(Box::new(Rpc { interface: Some(interface), opnum, operation, endpoint })))
    };
    facts
        .into_iter()
        .flat_map(|(at, event)| call(&event).map(|call| (at, call)).into_iter().chain([(at, event)]))
        .collect()
}

/// A file into the administrative share, a service made and started.
fn service(dice: &mut Dice) -> Vec<(Ms, Event)> {
    let file = format!("Temp\\{:08x}.exe", dice.next() as u32);
    let share: Box<str> = "\\\\host\\ADMIN$".into();
    let svc = |opnum, operation, what| {
        let pipe = "ncacn_np:\\pipe\\svcctl";
        act(Channel::Svcctl, what, Some(SVCCTL), Some(opnum), operation, pipe, "T1569.002")
    };
    vec![
        (90, Event::Share(Box::new(Share { path: share.clone(), share_type: Some("disk") }))),
        (
            200,
            Event::File(Box::new(File {
                share: Some(share),
                path: file.into(),
                action: FileAction::Write,
                bytes: Some(40_960),
            })),
        ),
        (350, svc(0x0c, "RCreateServiceW", Act::Prepare)),
        (420, svc(0x13, "RStartServiceW", Act::Execute)),
    ]
}

fn wmi(opnum: u16, operation: &str, what: Act) -> Event {
    act(Channel::Wmi, what, Some(WBEM), Some(opnum), operation, "ncacn_ip_tcp:49700", "T1047")
}

fn task(opnum: u16, operation: &str, what: Act) -> Event {
    act(Channel::Tasksched, what, Some(TASKS), Some(opnum), operation, "ncacn_ip_tcp:49680", "T1053.005")
}

/// Directory replication asked for.
pub(crate) fn replicate() -> Event {
    let uuid = "e3514235-4b06-11d1-ab04-00c04fc2dcd2";
    act(Channel::Drsuapi, Act::Administer, Some(uuid), Some(3), "DRSGetNCChanges", "ncacn_ip_tcp:49670", "T1003.006")
}

/// A registry hive saved to a file.
pub(crate) fn save_hive() -> Event {
    let uuid = "338cd001-2244-31f1-aaaa-900038001003";
    act(
        Channel::Winreg,
        Act::Administer,
        Some(uuid),
        Some(20),
        "BaseRegSaveKey",
        "ncacn_np:\\pipe\\winreg",
        "T1003.002",
    )
}

/// An event log cleared.
pub(crate) fn clear_log() -> Event {
    let uuid = "f6beaff7-1e19-4fbb-9f8f-b89e2018337c";
    act(Channel::Eventlog, Act::Administer, Some(uuid), Some(6), "EvtRpcClearLog", "ncacn_ip_tcp:49690", "T1070.001")
}

/// A machine asked to authenticate to somebody else (MS-EFSR EfsRpcOpenFileRaw).
pub(crate) fn coerce() -> Event {
    Event::Rpc(Box::new(Rpc {
        interface: Some("c681d488-d850-11d0-8c52-00c04fd90f7e".into()),
        opnum: 0,
        operation: Some("EfsRpcOpenFileRaw".into()),
        endpoint: Some("ncacn_np:\\pipe\\lsarpc".into()),
    }))
}

/// A service controller asked for its list: administration that runs nothing.
pub(crate) fn query_services() -> Event {
    act(
        Channel::Svcctl,
        Act::Administer,
        Some(SVCCTL),
        Some(0x0e),
        "REnumServicesStatusW",
        "ncacn_np:\\pipe\\svcctl",
        "T1007",
    )
}

fn act(
    channel: Channel,
    what: Act,
    interface: Option<&str>,
    opnum: Option<u16>,
    operation: &str,
    endpoint: &str,
    technique: &'static str,
) -> Event {
    Event::Execution(Box::new(Execution {
        channel,
        act: what,
        interface: interface.map(Into::into),
        opnum,
        operation: Some(operation.into()),
        endpoint: Some(endpoint.into()),
        clsid: None,
        technique: Some(technique),
    }))
}

const SVCCTL: &str = "367abb81-9844-35f1-ad32-98f038001003";
const WBEM: &str = "9556dc99-828c-11cf-a37e-00aa003240c7";
const TASKS: &str = "86d35949-83c9-4044-b424-db363231fd0c";
