//! Windows machines among themselves: SMB, DCE/RPC, WinRM.

use super::pc;
use crate::synth::acts::{self, Act};
use crate::synth::file::pcap;
use crate::synth::http;
use crate::synth::net::{Host, MORNING, Nanos, SECOND, Wire};
use crate::synth::smb::{Logon, Smb};
use crate::synth::tcp::Tcp;

/// Somebody works with files on a share.
pub(crate) fn share() -> Vec<u8> {
    let mut wire = Wire::new(60);
    let files = Host::inside([10, 20, 0, 6]);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&files, 445));
    tcp.open();
    let mut smb = Smb::open(&mut tcp, Logon::Kerberos("files.corp.example"), "FILES");
    smb.connect("files.corp.example", "IPC$").connect("files.corp.example", "sales");
    let plan = smb.open_file(r"2026\plan.xlsx", 0x0012_0089, 9_000);
    smb.read(&plan, 0, &http::page(9_000));
    smb.close_file(&plan);
    smb.tcp.wait(9 * SECOND);
    let draft = smb.open_file(r"2026\draft.docx", 0x0012_019f, 0);
    smb.write(&draft, 0, &http::page(4_000));
    smb.close_file(&draft);
    smb.close();
    pcap(&wire.finish())
}

/// A tool is copied and started as a service.
pub(crate) fn svcctl() -> Vec<u8> {
    acted(61, |wire, at, act| {
        let now = acts::copy(wire, at, act, r"Temp\setup.exe", &[&b"MZ\x90\0"[..], &[0; 3_000]].concat());
        acts::service(wire, now + SECOND / 5, act, "SetupHelper", r"%SystemRoot%\Temp\setup.exe /quiet")
    })
}

pub(crate) fn tasks() -> Vec<u8> {
    acted(62, acts::task)
}

pub(crate) fn wmi() -> Vec<u8> {
    acted(63, acts::wmi)
}

pub(crate) fn dcom() -> Vec<u8> {
    acted(64, acts::dcom)
}

pub(crate) fn winrm() -> Vec<u8> {
    acted(65, acts::winrm)
}

/// A server acts on a workstation.
fn acted(seed: u64, act: fn(&mut Wire, Nanos, Act<'_>) -> Nanos) -> Vec<u8> {
    let mut wire = Wire::new(seed);
    let server = Host::inside([10, 20, 0, 9]);
    act(&mut wire, MORNING, Act { from: (&server, "MGMT01"), on: (&pc(), "PC-0021"), user: "svc-deploy" });
    pcap(&wire.finish())
}
