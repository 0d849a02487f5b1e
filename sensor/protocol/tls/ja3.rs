//! JA3 and JA3S: MD5 over what a hello offers or chose, in wire order, in decimal, without GREASE.
//!
//! JA3: version, suites, extensions, groups, point formats. JA3S: version, suite, extensions. Kept beside JA4 because
//! most published lists still use it. Read: the salesforce/ja3 README (BSD-3-Clause).

use super::hello::{ClientHello, ServerHello, is_grease};
use md5::{Digest, Md5};
use std::fmt::Write;

/// JA3 of a whole client hello.
pub(crate) fn client(hello: &ClientHello<'_>) -> Box<str> {
    let mut text = String::with_capacity(256);
    let _ = write!(text, "{},", hello.version); // Writing to a String cannot fail.
    push_list(&mut text, hello.suites.iter().copied());
    text.push(',');
    push_list(&mut text, hello.extensions.iter().copied());
    text.push(',');
    push_list(&mut text, hello.groups.iter().copied());
    text.push(',');
    push_list(&mut text, hello.point_formats.iter().copied().map(u16::from));
    digest(&text)
}

/// JA3S of a whole server hello.
pub(crate) fn server(hello: &ServerHello<'_>) -> Box<str> {
    let mut text = String::with_capacity(64);
    let _ = write!(text, "{},{},", hello.legacy_version, hello.suite);
    push_list(&mut text, hello.extensions.iter().copied());
    digest(&text)
}

fn push_list(text: &mut String, values: impl Iterator<Item = u16>) {
    for (n, value) in values.filter(|v| !is_grease(*v)).enumerate() {
        let _ = write!(text, "{}{value}", if n == 0 { "" } else { "-" });
    }
}

fn digest(text: &str) -> Box<str> {
    hex::encode(Md5::digest(text.as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_ja3_readme_give_their_digests() {
        let hello = ClientHello {
            version: 769,
            suites: vec![47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
            extensions: vec![0, 10, 11],
            groups: vec![23, 24, 25],
            point_formats: &[0],
            ..ClientHello::default()
        };
        assert_eq!(&*client(&hello), "ada70206e40642a3e4461f35503241d5");
        let bare = ClientHello {
            version: 769,
            suites: vec![4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99],
            ..ClientHello::default()
        };
        assert_eq!(&*client(&bare), "de350869b8c85de67a350c8d186f11e6");
    }

    #[test]
    fn grease_changes_nothing() {
        let plain = ClientHello { version: 771, suites: vec![0x1301], groups: vec![29], ..ClientHello::default() };
        let mut greased = plain.clone();
        greased.suites.insert(0, 0xdada);
        greased.groups.push(0x1a1a);
        assert_eq!(client(&plain), client(&greased));
    }

    #[test]
    fn ja3s_reads_the_version_field_and_not_the_extension() {
        let hello = ServerHello {
            legacy_version: 771,
            version: 772,
            suite: 0x1301,
            extensions: vec![51, 43],
            ..ServerHello::default()
        };
        // MD5 of "771,4865,51-43".
        assert_eq!(&*server(&hello), "eb1d94daa7e0344597e756a1fb6e7054");
    }
}
