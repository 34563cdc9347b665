//! Byte classes as tables made at compile time, each beside the production it stands for.

/// A set of bytes with a look-up of one load.
pub struct Class([bool; 256]);

impl Class {
    /// Whether `byte` belongs to the class.
    #[inline(always)]
    pub const fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }

    /// Bytes at the start of `bytes` that belong to the class.
    #[inline(always)]
    pub fn run_length(&self, bytes: &[u8]) -> usize {
        bytes.iter().position(|&byte| !self.has(byte)).unwrap_or(bytes.len())
    }

    const fn of(members: &[u8]) -> Self {
        Class([false; 256]).and(members)
    }

    const fn and(mut self, members: &[u8]) -> Self {
        let mut i = 0;
        while i < members.len() {
            self.0[members[i] as usize] = true;
            i += 1;
        }
        self
    }

    const fn and_range(mut self, first: u8, last: u8) -> Self {
        let mut byte = first as usize;
        while byte <= last as usize {
            self.0[byte] = true;
            byte += 1;
        }
        self
    }

    const fn and_alphanumeric(self) -> Self {
        self.and_range(b'0', b'9').and_range(b'A', b'Z').and_range(b'a', b'z')
    }
}

/// `token = 1*tchar` (RFC 9110, 5.6.2): field names and methods.
pub const TOKEN: Class = Class::of(b"!#$%&'*+-.^_`|~").and_alphanumeric();

/// `field-content` with the white space inside it (RFC 9110, 5.5): HTAB, SP, VCHAR, obs-text.
pub const FIELD_VALUE: Class = Class::of(b"\t").and_range(0x20, 0x7e).and_range(0x80, 0xff);

/// What may stand in a path, `pchar` and `/` (RFC 3986, 3.3), and the brackets of an IPv6 address
/// in absolute-form. No `#`: a fragment is never sent (RFC 9110, 7.1).
pub const PATH: Class = Class::of(b"-._~!$&'()*+,;=:@/%[]").and_alphanumeric();

/// What may stand in a request target: a path and a query (RFC 3986, 3.4).
pub const TARGET: Class = PATH.and(b"?");

/// `reg-name` and `IPv4address` (RFC 3986, 3.2.2).
pub const HOST: Class = Class::of(b"-._~!$&'()*+,;=%").and_alphanumeric();

/// `HEXDIG` (RFC 5234, B.1), in both cases.
pub const HEX_DIGIT: Class =
    Class::of(b"").and_range(b'0', b'9').and_range(b'A', b'F').and_range(b'a', b'f');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_agrees_with_its_production_on_all_256_bytes() {
        for byte in 0..=255u8 {
            let c = byte as char;
            let alphanumeric = c.is_ascii_alphanumeric();
            assert_eq!(TOKEN.has(byte), alphanumeric || "!#$%&'*+-.^_`|~".contains(c), "{byte:#x}");
            assert_eq!(
                FIELD_VALUE.has(byte),
                byte == 9 || (byte >= 0x20 && byte != 0x7f),
                "{byte:#x}"
            );
            assert_eq!(HEX_DIGIT.has(byte), c.is_ascii_hexdigit(), "{byte:#x}");
            let unreserved = alphanumeric || "-._~".contains(c);
            let sub_delims = "!$&'()*+,;=".contains(c);
            assert_eq!(HOST.has(byte), unreserved || sub_delims || c == '%', "{byte:#x}");
            let pchar = unreserved || sub_delims || "%:@".contains(c);
            assert_eq!(PATH.has(byte), pchar || "/[]".contains(c), "{byte:#x}");
            assert_eq!(TARGET.has(byte), PATH.has(byte) || c == '?', "{byte:#x}");
        }
    }

    #[test]
    fn a_run_ends_at_the_first_stranger() {
        assert_eq!(TOKEN.run_length(b"Host: x"), 4);
        assert_eq!(TOKEN.run_length(b""), 0);
        assert_eq!(TOKEN.run_length(b"all"), 3);
    }
}
