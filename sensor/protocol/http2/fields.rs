//! Compressed heads (RFC 7541) → header fields, by the `httlib-hpack` crate. One decoder a side: its table is shared by
//! all heads of that side, so a head that could not be read ends the reading of that side for good.
//!
//! The crate takes its input's framing on trust (it indexes past a cut integer), so each field is measured here first and
//! handed over alone. Time and memory are bounded: fields a head, octets they unfold to, size of the dynamic table.

use crate::base::Reader;
use httlib_hpack::Decoder;

/// Reads one side's heads.
pub(super) struct Fields {
    decoder: Decoder<'static>,
    /// Octets that were put into its table, up to what it may be told to hold.
    indexed: usize,
}

impl Fields {
    pub(super) fn new() -> Self {
        let mut decoder = Decoder::with_dynamic_size(FIRST_TABLE);
        decoder.set_max_dynamic_size(MAX_TABLE);
        Self { decoder, indexed: 0 }
    }

    /// At most so many octets lie in the table: it makes room by itself where it was given less.
    pub(super) const fn held(&self) -> usize {
        self.indexed
    }

    /// Calls `each` with name and value of every field in `block`. False when the block is not well formed or exceeds
    /// its budget; the table can no longer be trusted then.
    pub(super) fn read(&mut self, block: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> bool {
        let mut r = Reader::new(block);
        let mut unfolded = 0_usize;
        let mut one = Vec::with_capacity(1);
        for _ in 0..MAX_FIELDS {
            if r.is_empty() {
                return true;
            }
            let Some(field) = measure(r.rest()).and_then(|len| r.take(len)) else { return false };
            if self.decoder.decode(&mut field.to_vec(), &mut one).is_err() {
                return false;
            }
            let to_be_indexed = matches!(field.first(), Some(0x40..=0x7f));
            for (name, value, _) in one.drain(..) {
                let octets = name.len().saturating_add(value.len());
                unfolded = unfolded.saturating_add(octets);
                if to_be_indexed {
                    self.indexed = self.indexed.saturating_add(octets).saturating_add(ENTRY).min(MAX_INDEXED);
                }
                each(&name, &value);
            }
            if unfolded > MAX_UNFOLDED {
                return false;
            }
        }
        r.is_empty()
    }
}

/// Octets of the field representation that `data` begins with (RFC 7541 §6).
fn measure(data: &[u8]) -> Option<usize> {
    let mut r = Reader::new(data);
    let first = *data.first()?;
    let (prefix, literal) = match first {
        0x80.. => (7, false),      // Indexed.
        0x40..=0x7f => (6, true),  // Literal, to be indexed.
        0x20..=0x3f => (5, false), // The table's size.
        _ => (4, true),            // Literal, not to be indexed.
    };
    let name = integer(&mut r, prefix)?;
    if literal {
        let strings = if name == 0 { 2 } else { 1 };
        for _ in 0..strings {
            let len = integer(&mut r, 7)?;
            r.skip(len)?;
        }
    }
    Some(r.position())
}

/// RFC 7541 §5.1, up to four further octets: nothing here is longer than 2^28.
fn integer(r: &mut Reader<'_>, prefix: u32) -> Option<usize> {
    let mask = (1_usize << prefix).wrapping_sub(1);
    let start = usize::from(r.u8()?) & mask;
    if start < mask {
        return Some(start);
    }
    let mut value = start;
    for shift in [0, 7, 14, 21] {
        let octet = r.u8()?;
        value = value.saturating_add(usize::from(octet & 0x7f) << shift);
        if octet < 0x80 {
            return Some(value);
        }
    }
    None
}

/// RFC 9113 §6.5.2: SETTINGS_HEADER_TABLE_SIZE before anybody said otherwise.
const FIRST_TABLE: u32 = 4096;
/// The largest table a real client offers; what would need more cannot be followed.
const MAX_TABLE: u32 = 65_536;
const MAX_INDEXED: usize = MAX_TABLE as usize;
/// RFC 7541 §4.1: what an entry counts beside its octets, near enough what it takes.
const ENTRY: usize = 32;
/// Real heads have a few dozen fields.
const MAX_FIELDS: usize = 512;
/// Octets of names and values a head may unfold to: servers accept 8 to 64 KiB.
const MAX_UNFOLDED: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &mut Fields, hex: &str) -> Option<String> {
        let block = hex::decode(hex.replace(' ', "")).unwrap();
        let mut said = String::new();
        let good = fields.read(&block, |name, value| {
            said += &format!("{}={} ", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        });
        good.then(|| said.trim_end().into())
    }

    #[test]
    fn the_examples_of_rfc_7541_are_read() {
        // Appendix C.3: without Huffman; C.4: with. Three requests on one connection, the table growing.
        for (what, blocks) in [
            (
                "plain",
                [
                    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                    "8286 84be 5808 6e6f 2d63 6163 6865",
                    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                ],
            ),
            (
                "Huffman",
                [
                    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                    "8286 84be 5886 a8eb 1064 9cbf",
                    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                ],
            ),
        ] {
            let mut fields = Fields::new();
            let said: Vec<_> = blocks.iter().map(|block| read(&mut fields, block).unwrap()).collect();
            assert_eq!(
                said,
                [
                    ":method=GET :scheme=http :path=/ :authority=www.example.com",
                    ":method=GET :scheme=http :path=/ :authority=www.example.com cache-control=no-cache",
                    ":method=GET :scheme=https :path=/index.html :authority=www.example.com custom-key=custom-value",
                ],
                "{what}"
            );
        }
    }

    #[test]
    fn what_the_table_takes_is_known() {
        let mut fields = Fields::new();
        read(&mut fields, "82 0002 6162 0163").unwrap();
        assert_eq!(fields.held(), 0, "nothing to be indexed");
        read(&mut fields, "4002 6162 0163").unwrap();
        assert_eq!(fields.held(), 3 + ENTRY);
        for _ in 0..100 {
            read(&mut fields, &format!("40017a7fa11e{}", "61".repeat(4_000))).unwrap();
        }
        assert_eq!(fields.held(), MAX_INDEXED);
    }

    #[test]
    fn what_is_cut_or_too_much_is_refused() {
        for (what, block) in [
            ("an index beyond the tables", "ff00".to_string()),
            ("index zero", "80".into()),
            ("an integer without its end", "ff80".into()),
            ("an integer too long", "ffffffffffff0f".into()),
            ("a string without its octets", "410f7777".into()),
            ("a name without a value", "000161".into()),
            ("a table too large", "3fe1ff7f".into()),
            ("a string that ends within a symbol", "4181ff".into()),
            ("fields without end", "82".repeat(MAX_FIELDS + 1)),
            // A long value once, then by its index: 4 KB a single octet.
            ("unfolding", format!("40017a7fa11e{}{}", "61".repeat(4_000), "be".repeat(40))),
        ] {
            assert_eq!(read(&mut Fields::new(), &block), None, "{what}");
        }
        assert_eq!(read(&mut Fields::new(), &"82".repeat(3)).unwrap(), ":method=GET :method=GET :method=GET");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4_000))]
        #[test]
        fn any_octets_are_survived(blocks in proptest::collection::vec(
            proptest::collection::vec(proptest::num::u8::ANY, 0..60), 1..4)
        ) {
            let mut fields = Fields::new();
            for block in blocks {
                fields.read(&block, |_, _| {});
            }
        }

        /// Strings in Huffman's code are where the crate counts bits.
        #[test]
        fn any_coded_string_is_survived(coded in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let len = u8::try_from(coded.len()).unwrap();
            Fields::new().read(&[&[0x41, 0x80 | len], &coded[..]].concat(), |_, _| {});
        }
    }
}
