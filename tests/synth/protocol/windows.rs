//! Windows machines among themselves: SMB, DCE/RPC, WinRM.

use super::pc;
use crate::synth::acts::{self, Act};
use crate::synth::dcerpc::{self, SVCCTL};
use crate::synth::file::pcap;
use crate::synth::hello::Client;
use crate::synth::http;
use crate::synth::net::{Host, MORNING, MS, Nanos, SECOND, Wire};
use crate::synth::smb::{Logon, Smb};
use crate::synth::tcp::{Side, Tcp};
use crate::synth::tls::{Answer, Tls};

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

/// The endpoint mapper names a port; the connection there is picked up after its bind, then another within a fragment.
pub(crate) fn mapped() -> Vec<u8> {
    let mut wire = Wire::new(66);
    let server = Host::inside([10, 20, 0, 9]);
    let act = Act { from: (&server, "MGMT01"), on: (&pc(), "PC-0021"), user: "svc-deploy" };
    let now = acts::map_endpoint(&mut wire, MORNING, act, SVCCTL, 49_703) + SECOND;
    let mut tcp = Tcp::new(&mut wire, now, &server, (&pc(), 49_703));
    tcp.orig(&dcerpc::request(4, 0, 12, &[0; 120])).resp(&dcerpc::response(4, 0, &[0; 28]));
    let now = tcp.close(Side::Orig) + SECOND;
    let mut tcp = Tcp::new(&mut wire, now, &server, (&pc(), 49_703));
    let rest = tcp.wire.random.bytes(300);
    tcp.orig(&[&rest, &dcerpc::request(9, 0, 19, &[0; 24])[..]].concat()).resp(&dcerpc::response(9, 0, &[0; 4]));
    tcp.close(Side::Orig);
    pcap(&wire.finish())
}

/// A share of which everything after the logon is encrypted (SMB 3, MS-SMB2 §2.2.41).
pub(crate) fn encrypted() -> Vec<u8> {
    let mut wire = Wire::new(67);
    let files = Host::inside([10, 20, 0, 6]);
    let mut tcp = Tcp::new(&mut wire, MORNING, &pc(), (&files, 445));
    tcp.open();
    let mut smb = Smb::open(&mut tcp, Logon::Kerberos("files.corp.example"), "FILES");
    for (up, down) in [(120, 80), (230, 156), (113, 9_080), (88, 124), (72, 72)] {
        smb.sealed(up, down);
    }
    smb.tcp.close(Side::Orig);
    pcap(&wire.finish())
}

/// A command by PowerShell over WS-Management, encrypted under HTTP: shell, pipeline, output, the end.
pub(crate) fn winrm_sealed() -> Vec<u8> {
    acted(68, |wire, at, act| acts::winrm_shell(wire, at, act, 5985))
}

/// The same within TLS.
pub(crate) fn winrm_tls() -> Vec<u8> {
    acted(69, |wire, at, act| {
        let mut tcp = Tcp::new(wire, at, act.from.0, (act.on.0, 5986));
        tcp.open();
        let mut session = Tls::open(&mut tcp, Client::Schannel, Some("pc-0021.corp.example"), Answer::Full12);
        for (up, down) in [(600, 300), (6_200, 2_900), (5_400, 1_700), (2_450, 3_100), (2_450, 900), (1_400, 250)] {
            session.data(Side::Orig, up).wait(20 * MS).data(Side::Resp, down);
        }
        session.close(Side::Orig)
    })
}

/// A server acts on a workstation.
fn acted(seed: u64, act: fn(&mut Wire, Nanos, Act<'_>) -> Nanos) -> Vec<u8> {
    let mut wire = Wire::new(seed);
    let server = Host::inside([10, 20, 0, 9]);
    act(&mut wire, MORNING, Act { from: (&server, "MGMT01"), on: (&pc(), "PC-0021"), user: "svc-deploy" });
    pcap(&wire.finish())
}
