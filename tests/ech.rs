//! Encrypted ClientHello is told from GREASE where its configuration was looked up in sight.

use crate::support::{analyze_bytes, values};
use crate::synth::dns::{FOUND, HTTPS, query, response};
use crate::synth::file::pcap;
use crate::synth::hello::Client;
use crate::synth::net::{Host, MORNING, MS, SECOND, Wire};
use crate::synth::tcp::{Side, Tcp};
use crate::synth::tls::{Answer, Tls};

#[test]
fn a_hello_with_the_name_and_the_id_of_a_configuration_is_encrypted() {
    let mut wire = Wire::new(5);
    let (client, resolver) = (Host::inside([10, 20, 0, 10]), Host::inside([10, 20, 1, 1]));
    let server = Host::outside([198, 51, 100, 7]);
    for (n, name) in (1..).zip(["public.example", "shop.example"]) {
        let mut tcp = Tcp::new(&mut wire, MORNING + n * SECOND, &client, (&server, 443));
        tcp.open();
        Tls::open(&mut tcp, Client::Chromium, Some(name), Answer::Modern).close(Side::Orig);
    }
    // The ids that the writer drew for its extensions; a client with a configuration would say that one's.
    let ids: Vec<u8> = wire.frames.iter().filter_map(|frame| config_id(&frame.bytes)).collect();
    let [id, _] = ids[..] else { panic!("{ids:?}") };
    wire.udp(MORNING, (&client, 50_123), (&resolver, 53), &query(7, "hidden.example", HTTPS));
    wire.udp(MORNING + MS, (&resolver, 53), (&client, 50_123), &binding("hidden.example", id, b"public.example"));
    let run = analyze_bytes(&pcap(&wire.finish()));
    let told: Vec<_> = values(&run.facts)
        .iter()
        .filter(|fact| fact["kind"] == "handshake")
        .map(|fact| ["sni", "ech", "ech_config_id", "ech_public_name"].map(|key| fact[key].to_string()))
        .collect();
    let offered = "\"grease_or_offered\"";
    let expected = [
        ["\"public.example\"", offered, &ids[0].to_string(), "\"public.example\""],
        ["\"shop.example\"", offered, &ids[1].to_string(), "null"],
    ];
    assert_eq!(told, expected);
}

/// Of an outer hello with HKDF-SHA256 and AES-128-GCM.
fn config_id(frame: &[u8]) -> Option<u8> {
    let at = frame.windows(9).position(|w| w[..2] == [0xfe, 0x0d] && w[4..] == [0, 0, 1, 0, 1])?;
    frame.get(at + 9).copied()
}

/// An answer with a service binding to itself that offers one configuration (RFC 9460 §2.2, draft-ietf-tls-esni-25 §4).
fn binding(name: &str, id: u8, public_name: &[u8]) -> Vec<u8> {
    let counted = |data: &[u8]| [&u16::try_from(data.len()).unwrap().to_be_bytes()[..], data].concat();
    let length = u8::try_from(public_name.len()).unwrap();
    let key = counted(&[9; 32]);
    let body = [&[id, 0, 0x20][..], &key, &[0, 4, 0, 1, 0, 1, 0, length], public_name, &[0, 0]].concat();
    let list = counted(&[&[0xfe, 0x0d][..], &counted(&body)].concat());
    let data = [&[0, 1, 0, 0, 5][..], &counted(&list)].concat();
    let mut message = response(7, name, HTTPS, FOUND, 300, &[]);
    message[7] = 1;
    message.extend([&[0xc0, 12, 0, 65, 0, 1, 0, 0, 1, 44][..], &counted(&data)].concat());
    message
}
