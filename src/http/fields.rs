//! What the fields that matter to the protocol say: framing, persistence, host, expectation.
//!
//! [`Fields`] takes each field line as it is read and is asked for a verdict once the section is
//! whole, because `Content-Length` and `Transfer-Encoding` are judged together. All other fields
//! are only checked for their form, by [`head`](super::head).

use super::HttpError;
use super::head::Version;
use super::scan::HOST;

/// How the end of a request's content is found (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes; 0 also where neither framing field was sent.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
}

/// The value of the first field with this name in the header section that `lines` begins with; the
/// section has been judged before. For fields that mean nothing to the protocol.
pub fn find<'b>(lines: &'b [u8], name: &str) -> Option<&'b [u8]> {
    lines
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
        .take_while(|line| !line.is_empty())
        .find_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            line[..colon]
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| line[colon + 1..].trim_ascii_start())
        })
}

/// What a whole header section means for the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// How the end of the content is found.
    pub framing: Framing,
    /// Whether the client wants the connection to outlive this exchange (RFC 9112, 9.3).
    pub persistent: bool,
    /// Whether the client waits for `100 Continue` before it sends the content.
    pub expects_continue: bool,
    /// Whether `Content-Encoding` names anything but `identity` (RFC 9110, 8.4).
    pub content_is_coded: bool,
}

/// What was said so far in a header section.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    content_length: Option<u64>,
    codings: Option<Codings>,
    host: bool,
    close: bool,
    keep_alive: bool,
    expectation: Option<Expectation>,
    content_is_coded: bool,
}

/// The list of all `Transfer-Encoding` fields together (RFC 9110, 5.3).
#[derive(Clone, Copy, Debug, Default)]
struct Codings {
    chunked_count: u32,
    final_is_chunked: bool,
    other_registered: bool,
    unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expectation {
    Continue,
    Unknown,
}

impl Fields {
    /// Takes one field line, its value without the white space around it.
    #[inline(always)]
    pub fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), HttpError> {
        // The length alone rules out nearly every field.
        match name.len() {
            4 if is(name, b"Host") => self.take_host(value),
            6 if is(name, b"Expect") => self.take_expect(value),
            10 if is(name, b"Connection") => self.take_connection(value),
            14 if is(name, b"Content-Length") => self.take_content_length(value),
            16 if is(name, b"Content-Encoding") => {
                self.content_is_coded |=
                    list(value).any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
                Ok(())
            }
            17 if is(name, b"Transfer-Encoding") => {
                self.codings.get_or_insert_default().take(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether `Content-Length` was among them.
    #[inline(always)]
    pub fn has_content_length(&self) -> bool {
        self.content_length.is_some()
    }

    /// The verdict over a whole section (RFC 9112, 3.2 and 6.3; RFC 9110, 10.1.1).
    #[inline(always)]
    pub fn meaning(&self, version: Version) -> Result<Meaning, HttpError> {
        if !self.host && version == Version::Http11 {
            return Err(HttpError::HostMissing);
        }
        let framing = match self.codings {
            None => Framing::Length(self.content_length.unwrap_or(0)),
            Some(_) if self.content_length.is_some() => return Err(HttpError::FramingAmbiguous),
            Some(_) if version == Version::Http10 => return Err(HttpError::TransferEncoding),
            Some(codings) => codings.framing()?,
        };
        // RFC 9110, 10.1.1: an expectation in HTTP/1.0 is ignored.
        let expectation = if version == Version::Http11 { self.expectation } else { None };
        if expectation == Some(Expectation::Unknown) {
            return Err(HttpError::ExpectationUnknown);
        }
        let persistent = !self.close && (version == Version::Http11 || self.keep_alive);
        Ok(Meaning {
            framing,
            persistent,
            expects_continue: expectation.is_some(),
            content_is_coded: self.content_is_coded,
        })
    }

    fn take_host(&mut self, value: &[u8]) -> Result<(), HttpError> {
        if self.host || !(value.is_empty() || is_uri_host_and_port(value)) {
            return Err(HttpError::Host);
        }
        self.host = true;
        Ok(())
    }

    /// RFC 9110, 8.6: `1*DIGIT`, once; equal repetitions are refused too, and what overflows.
    #[inline(always)]
    fn take_content_length(&mut self, value: &[u8]) -> Result<(), HttpError> {
        if self.content_length.is_some() || value.is_empty() {
            return Err(HttpError::ContentLength);
        }
        let mut length = 0u64;
        for &byte in value {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return Err(HttpError::ContentLength);
            }
            length = length
                .checked_mul(10)
                .and_then(|length| length.checked_add(u64::from(digit)))
                .ok_or(HttpError::ContentLength)?;
        }
        self.content_length = Some(length);
        Ok(())
    }

    /// RFC 9110, 7.6.1: options are case-insensitive; those we do not know change nothing.
    fn take_connection(&mut self, value: &[u8]) -> Result<(), HttpError> {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
        Ok(())
    }

    fn take_expect(&mut self, value: &[u8]) -> Result<(), HttpError> {
        for expectation in list(value) {
            let known = expectation.eq_ignore_ascii_case(b"100-continue");
            if !known || self.expectation == Some(Expectation::Unknown) {
                self.expectation = Some(Expectation::Unknown);
            } else {
                self.expectation = Some(Expectation::Continue);
            }
        }
        Ok(())
    }
}

/// Whether `name` is this field's, in any case (RFC 9110, 5.1); as it is usually written, that is one
/// comparison of words.
#[inline(always)]
fn is<const N: usize>(name: &[u8], usual: &[u8; N]) -> bool {
    name == usual || name.eq_ignore_ascii_case(usual)
}

impl Codings {
    fn take(&mut self, value: &[u8]) {
        for coding in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.final_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            if self.final_is_chunked {
                self.chunked_count += 1;
            } else if is_registered_coding(coding) {
                self.other_registered = true;
            } else {
                self.unknown = true;
            }
        }
    }

    /// RFC 9112, 6.1 and 6.3: what we do not implement is `501`; what leaves the end of the content
    /// open, or codes it twice, is `400`.
    fn framing(self) -> Result<Framing, HttpError> {
        if self.unknown {
            return Err(HttpError::TransferCodingUnknown);
        }
        if !self.final_is_chunked || self.chunked_count != 1 {
            return Err(HttpError::TransferEncoding);
        }
        if self.other_registered {
            return Err(HttpError::TransferCodingUnknown);
        }
        Ok(Framing::Chunked)
    }
}

/// The registered transfer codings besides `chunked` (RFC 9112, 7.2), `identity` of RFC 2616, and
/// what is no coding at all: an empty element, or `chunked` with parameters or other adornment.
fn is_registered_coding(coding: &[u8]) -> bool {
    let known: [&[u8]; 6] =
        [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"];
    let is_name = !coding.is_empty() && super::scan::TOKEN.run_length(coding) == coding.len();
    !is_name || known.iter().any(|name| coding.eq_ignore_ascii_case(name))
}

/// The elements of a comma-separated list, without the empty ones (RFC 9110, 5.6.1.2).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// `uri-host [ ":" port ]` (RFC 9110, 7.2; RFC 3986, 3.2.2), not empty. An IPv6 literal is checked
/// for its bytes, not for its meaning: nothing here connects to it.
pub fn is_uri_host_and_port(value: &[u8]) -> bool {
    let host_length = match value {
        [b'[', literal @ ..] => {
            let literal_length = literal
                .iter()
                .position(|&byte| !(byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')))
                .unwrap_or(literal.len());
            if literal_length == 0 || literal.get(literal_length) != Some(&b']') {
                return false;
            }
            literal_length + "[]".len()
        }
        _ => HOST.run_length(value),
    };
    match &value[host_length..] {
        [] => host_length > 0,
        [b':', port @ ..] => {
            host_length > 0 && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(version: Version, fields: &[(&str, &str)]) -> Result<Meaning, HttpError> {
        let mut taken = Fields::default();
        for (name, value) in fields {
            taken.take(name.as_bytes(), value.as_bytes())?;
        }
        taken.meaning(version)
    }

    #[test]
    fn framing() {
        use Framing::*;
        use HttpError as E;
        type Row = (&'static [(&'static str, &'static str)], Result<Framing, E>);
        let rows: &[Row] = &[
            (&[], Ok(Length(0))),
            (&[("content-LENGTH", "0042")], Ok(Length(42))),
            (&[("Content-Length", "18446744073709551615")], Ok(Length(u64::MAX))),
            (&[("Content-Length", "18446744073709551616")], Err(E::ContentLength)),
            (&[("Content-Length", "")], Err(E::ContentLength)),
            (&[("Content-Length", "+5")], Err(E::ContentLength)),
            (&[("Content-Length", "-5")], Err(E::ContentLength)),
            (&[("Content-Length", "0x5")], Err(E::ContentLength)),
            (&[("Content-Length", "5, 5")], Err(E::ContentLength)),
            (&[("Content-Length", "5"), ("Content-Length", "6")], Err(E::ContentLength)),
            (&[("Transfer-Encoding", "Chunked")], Ok(Chunked)),
            (
                &[("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
                Err(E::FramingAmbiguous),
            ),
            (&[("Transfer-Encoding", "gzip")], Err(E::TransferEncoding)),
            (&[("Transfer-Encoding", "identity")], Err(E::TransferEncoding)),
            (&[("Transfer-Encoding", "chunked, gzip")], Err(E::TransferEncoding)),
            (&[("Transfer-Encoding", "chunked, chunked")], Err(E::TransferEncoding)),
            (
                &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
                Err(E::TransferEncoding),
            ),
            (
                &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity")],
                Err(E::TransferEncoding),
            ),
            (&[("Transfer-Encoding", "")], Err(E::TransferEncoding)),
            (&[("Transfer-Encoding", "chunked;q=1")], Err(E::TransferEncoding)),
            (&[("Transfer-Encoding", "\"chunked\"")], Err(E::TransferEncoding)),
            (&[("Transfer-Encoding", "gzip, chunked")], Err(E::TransferCodingUnknown)),
            (&[("Transfer-Encoding", "xchunked")], Err(E::TransferCodingUnknown)),
        ];
        for (fields, expected) in rows {
            let mut all = vec![("Host", "h")];
            all.extend_from_slice(fields);
            assert_eq!(
                meaning(Version::Http11, &all).map(|meaning| meaning.framing),
                *expected,
                "{fields:?}"
            );
        }
        let in_1_0 = meaning(Version::Http10, &[("Transfer-Encoding", "chunked")]);
        assert_eq!(in_1_0, Err(E::TransferEncoding));
    }

    #[test]
    fn persistence() {
        use Version::*;
        for (version, connection, expected) in [
            (Http11, "", true),
            (Http11, "close", false),
            (Http11, "Keep-Alive", true),
            (Http11, "keep-alive, CLOSE", false),
            (Http11, "upgrade", true),
            (Http10, "", false),
            (Http10, "Keep-Alive", true),
            (Http10, "x,, keep-alive", true),
            (Http10, "keep-alive, close", false),
        ] {
            let meaning = meaning(version, &[("Host", "h"), ("Connection", connection)]);
            assert_eq!(meaning.map(|m| m.persistent), Ok(expected), "{version:?} {connection}");
        }
    }

    #[test]
    fn hosts() {
        for (value, good) in [
            ("localhost", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("h:", true),
            ("a_b.example", true),
            ("", true),
            (":80", false),
            ("h:8o", false),
            ("h:123456", false),
            ("a b", false),
            ("u@h", false),
            ("h/", false),
            ("h#f", false),
            ("h?q", false),
            ("[::1", false),
            ("[]", false),
            ("[::1]x", false),
            ("a, b", false),
        ] {
            assert_eq!(meaning(Version::Http11, &[("Host", value)]).is_ok(), good, "{value:?}");
        }
        assert_eq!(meaning(Version::Http11, &[]), Err(HttpError::HostMissing));
        assert!(meaning(Version::Http10, &[]).is_ok());
        assert_eq!(meaning(Version::Http10, &[("Host", "a"), ("host", "a")]), Err(HttpError::Host));
    }

    #[test]
    fn content_codings_other_than_identity_are_noticed_in_every_line_and_element() {
        for (values, coded) in [
            (&[][..], false),
            (&[""], false),
            (&["identity"], false),
            (&["Identity,, IDENTITY ,"], false),
            (&["gzip"], true),
            (&["identity, gzip"], true),
            (&["identity", "br"], true),
            (&["zstd", "identity"], true),
            (&["identity;q=1"], true),
        ] {
            let mut fields = vec![("Host", "h")];
            fields.extend(values.iter().map(|&value| ("content-ENCODING", value)));
            for version in [Version::Http10, Version::Http11] {
                let meaning = meaning(version, &fields);
                assert_eq!(
                    meaning.map(|meaning| meaning.content_is_coded),
                    Ok(coded),
                    "{values:?}"
                );
            }
        }
    }

    #[test]
    fn expectations() {
        let expects = |version, value| {
            meaning(version, &[("Host", "h"), ("Expect", value)])
                .map(|meaning| meaning.expects_continue)
        };
        assert_eq!(expects(Version::Http11, "100-Continue"), Ok(true));
        assert_eq!(expects(Version::Http11, "200-ok"), Err(HttpError::ExpectationUnknown));
        assert_eq!(
            expects(Version::Http11, "200-ok, 100-continue"),
            Err(HttpError::ExpectationUnknown)
        );
        assert_eq!(expects(Version::Http10, "200-ok"), Ok(false));
    }
}
