//! The operator's asset list (`--assets FILE`): which machine has which address and hardware address, what it is called
//! and for. CSV as inventories export it, or TOML. It wins over what the wire says; where they disagree is reported.

use super::site::{Wrong, address, all, role};
use super::{ConfigError, text_of, wrong};
use crate::profile::{DeclaredHost, HostRole};
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// The assets of a file; `.toml` is TOML, everything else CSV.
pub(crate) fn assets(path: &Path) -> Result<Vec<DeclaredHost>, Box<ConfigError>> {
    let text = text_of(path)?;
    let toml = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    let parsed = if toml { of_toml(&text) } else { of_csv(&text) };
    parsed.map_err(|Wrong { message, span }| wrong(path, &text, message, span))
}

/// Assets as a text of either kind has them; what is wrong is said in words.
pub(crate) fn asset_list(text: &str) -> Result<usize, String> {
    let count = |parsed: Result<Vec<DeclaredHost>, Wrong>| parsed.map(|all| all.len()).map_err(|wrong| wrong.message);
    count(of_toml(text)).or_else(|_| count(of_csv(text)))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    asset: Vec<Asset>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Asset {
    #[serde(default)]
    address: Vec<Spanned<String>>,
    #[serde(default)]
    mac: Vec<Spanned<String>>,
    name: Option<String>,
    #[serde(default)]
    roles: Vec<Spanned<String>>,
}

fn of_toml(text: &str) -> Result<Vec<DeclaredHost>, Wrong> {
    let file: File = toml::from_str(text)
        .map_err(|e| Wrong { message: super::nearest(e.message()), span: e.span().unwrap_or_default() })?;
    let asset = |a: &Asset| {
        Ok(DeclaredHost {
            addresses: all(&a.address, address)?,
            macs: all(&a.mac, mac)?,
            name: a.name.as_deref().map(Into::into),
            roles: all(&a.roles, role)?,
            pinned: true,
        })
    };
    let assets: Vec<DeclaredHost> = file.asset.iter().map(asset).collect::<Result<_, _>>()?;
    match assets.iter().any(|asset| asset.addresses.is_empty() && asset.macs.is_empty()) {
        true => Err(Wrong { message: NEITHER.to_owned(), span: 0..text.len().min(1) }),
        false => Ok(assets),
    }
}

/// Columns by their header, in any order; several addresses, hardware addresses or roles in one cell are separated by
/// blanks or semicolons. Columns of other names are the inventory's own.
fn of_csv(text: &str) -> Result<Vec<DeclaredHost>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| Wrong { message: e.to_string(), span: 0..0 })?.clone();
    let column = |names: &[&str]| header.iter().position(|h| names.iter().any(|name| h.eq_ignore_ascii_case(name)));
    let (ips, macs) = (column(&["address", "ip", "ip_address"]), column(&["mac", "mac_address"]));
    let (name, roles) = (column(&["name", "hostname", "host"]), column(&["roles", "role"]));
    if ips.is_none() && macs.is_none() {
        let end = text.find('\n').unwrap_or(text.len());
        let message = "the first line must name a column address or mac; also read are name and roles".to_owned();
        return Err(Wrong { message, span: 0..end });
    }
    let mut assets = Vec::new();
    for row in reader.records() {
        let row =
            row.map_err(|e| Wrong { message: e.to_string(), span: line(text, e.position().map(csv::Position::byte)) })?;
        let span = || line(text, row.position().map(csv::Position::byte));
        let cell = |at: Option<usize>| at.and_then(|at| row.get(at)).unwrap_or_default();
        let many = |at| cell(at).split([' ', ';']).filter(|value| !value.is_empty());
        let wrong = |message| Wrong { message, span: span() };
        let asset = DeclaredHost {
            addresses: many(ips).map(address).collect::<Result<Vec<IpAddr>, _>>().map_err(wrong)?,
            macs: many(macs).map(mac).collect::<Result<_, _>>().map_err(wrong)?,
            name: Some(cell(name)).filter(|name| !name.is_empty()).map(Into::into),
            roles: many(roles).map(role).collect::<Result<Vec<HostRole>, _>>().map_err(wrong)?,
            pinned: true,
        };
        if asset.addresses.is_empty() && asset.macs.is_empty() {
            return Err(wrong(NEITHER.to_owned()));
        }
        assets.push(asset);
    }
    Ok(assets)
}

/// The line that begins at a byte.
fn line(text: &str, from: Option<u64>) -> Range<usize> {
    let from = from.and_then(|from| usize::try_from(from).ok()).unwrap_or(0).min(text.len());
    let rest = text.get(from..).unwrap_or_default();
    from..from.saturating_add(rest.find('\n').unwrap_or(rest.len()))
}

/// `00:1b:2c:00:ff:01`, with dashes, or Cisco's dots.
fn mac(text: &str) -> Result<[u8; 6], String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    let mut mac = [0; 6];
    match hex::decode_to_slice(&digits, &mut mac) {
        Ok(()) => Ok(mac),
        Err(_) => Err(format!("{text:?} is no hardware address such as \"00:1b:2c:00:ff:01\"")),
    }
}

/// What every asset needs.
const NEITHER: &str = "an asset needs an address or a hardware address";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_read_as_it_is_exported() {
        let csv = "\u{feff}Name,IP,MAC,Owner,Roles\nepp01,10.0.0.5; 10.0.0.6,00-1B-2C-00-FF-01,ops,antivirus_management\npc7,,001b.2c00.ff02,,\n";
        let toml = "[[asset]]\nname = \"epp01\"\naddress = [\"10.0.0.5\", \"10.0.0.6\"]\nmac = [\"00:1b:2c:00:ff:01\"]\nroles = [\"antivirus_management\"]\n[[asset]]\nname = \"pc7\"\nmac = [\"00:1b:2c:00:ff:02\"]\n";
        let (of_csv, of_toml) = (of_csv(csv).ok().unwrap(), of_toml(toml).ok().unwrap());
        assert_eq!(of_csv, of_toml);
        assert_eq!(of_csv[0].macs, [[0, 0x1b, 0x2c, 0, 0xff, 1]]);
        assert_eq!(of_csv[0].addresses.len(), 2);
    }

    #[test]
    fn a_wrong_line_is_named_with_what_would_be_right() {
        for (what, text, message, shown) in [
            ("no column that says who", "name,owner\na,b\n", "must name a column address or mac", "name,owner"),
            ("an address", "ip\n10.0.0.1\n10.0.0.300\n", "no IP address", "10.0.0.300"),
            ("a hardware address", "mac\n00:11\n", "no hardware address", "00:11"),
            ("a role", "ip,role\n10.0.0.1,boss\n", "the roles are antivirus_management", "10.0.0.1,boss"),
            ("nobody", "ip,mac,name\n,,x\n", "needs an address", ",,x"),
        ] {
            let wrong = of_csv(text).err().unwrap();
            assert!(wrong.message.contains(message), "{what}: {}", wrong.message);
            assert_eq!(text.get(wrong.span), Some(shown), "{what}");
        }
        assert!(of_toml("[[asset]]\nname = \"x\"\n").is_err_and(|wrong| wrong.message == NEITHER));
    }
}
