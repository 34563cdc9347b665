//! The fields that matter to the protocol: framing, persistence, host, expectation, content coding;
//! and whether there are fields that matter to the handler.
//!
//! [`Fields`] takes each field line as it is read. It gives its verdict once the section is whole,
//! because some fields are judged together. All other fields are only checked for their form.

use super::authority::Authority;
use super::error::HttpError;
use super::extras::Extras;
use super::framing::{Framing, FramingFields};
use super::list::elements;
use super::version::Version;

/// What a whole header section means for the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// How the end of the content is found.
    pub framing: Framing,
    /// Whether the connection may stay open after this exchange, as the client asks (RFC 9112, 9.3).
    pub persistent: bool,
    /// Whether the client waits for `100 Continue` before it sends the content.
    pub expects_continue: bool,
    /// What else the handler must look at.
    pub extras: Extras,
}

/// The fields of a header section, as far as it has been read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    framing: FramingFields,
    host: bool,
    close: bool,
    keep_alive: bool,
    expectation: Option<Expectation>,
    extras: Extras,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expectation {
    Continue,
    Unknown,
}

impl Fields {
    /// Takes one field line; `value` is without the white space around it.
    ///
    /// # Errors
    /// `Host` and `ContentLength`. No later line can make these fields right.
    #[inline(always)]
    pub fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), HttpError> {
        // The length alone rules out nearly every field.
        match name.len() {
            4 if is(name, b"Host") => return self.take_host(value),
            6 if is(name, b"Expect") => self.take_expect(value),
            6 if is(name, b"Origin") => self.extras.add(Extras::PAGE),
            10 if is(name, b"Connection") => self.take_connection(value),
            14 if is(name, b"Content-Length") => return self.framing.take_content_length(value),
            14 if is(name, b"Sec-Fetch-Site") => self.extras.add(Extras::PAGE),
            16 if is(name, b"Content-Encoding") => self.take_content_encoding(value),
            17 if is(name, b"Transfer-Encoding") => self.framing.take_transfer_encoding(value),
            _ => {}
        }
        Ok(())
    }

    /// Returns whether `Content-Length` was taken.
    #[inline(always)]
    pub fn has_content_length(&self) -> bool {
        self.framing.has_content_length()
    }

    /// Judges a whole section (RFC 9112, 3.2 and 6.3; RFC 9110, 10.1.1).
    ///
    /// # Errors
    /// `HostMissing`, `ExpectationUnknown`, and those of [`FramingFields::verdict`].
    #[inline(always)]
    pub fn meaning(&self, version: Version) -> Result<Meaning, HttpError> {
        if !self.host && version == Version::Http11 {
            return Err(HttpError::HostMissing);
        }
        let framing = self.framing.verdict(version)?;
        // RFC 9110, 10.1.1: an expectation in HTTP/1.0 is ignored.
        let expectation = if version == Version::Http11 { self.expectation } else { None };
        if expectation == Some(Expectation::Unknown) {
            return Err(HttpError::ExpectationUnknown);
        }
        Ok(Meaning {
            framing,
            persistent: !self.close && (version == Version::Http11 || self.keep_alive),
            expects_continue: expectation.is_some(),
            extras: self.extras,
        })
    }

    /// RFC 9112, 3.2: once, and an authority. An empty value is right for a target without one.
    fn take_host(&mut self, value: &[u8]) -> Result<(), HttpError> {
        if self.host || !(value.is_empty() || Authority::read(value).is_some()) {
            return Err(HttpError::Host);
        }
        self.host = true;
        Ok(())
    }

    /// RFC 9110, 7.6.1: the case of an option does not matter. Unknown options change nothing.
    fn take_connection(&mut self, value: &[u8]) {
        for option in elements(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9110, 10.1.1: the case of an expectation does not matter. One unknown expectation makes
    /// the whole list unknown.
    fn take_expect(&mut self, value: &[u8]) {
        for expectation in elements(value) {
            let known = expectation.eq_ignore_ascii_case(b"100-continue");
            if !known || self.expectation == Some(Expectation::Unknown) {
                self.expectation = Some(Expectation::Unknown);
            } else {
                self.expectation = Some(Expectation::Continue);
            }
        }
    }

    /// RFC 9110, 8.4. `identity` is no coding that a client should name, but it changes nothing.
    fn take_content_encoding(&mut self, value: &[u8]) {
        if elements(value).any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
            self.extras.add(Extras::CODED_CONTENT);
        }
    }
}

/// Whether `name` is the name of this field, in any case (RFC 9110, 5.1). In the usual case this is
/// one comparison of words.
#[inline(always)]
fn is<const N: usize>(name: &[u8], usual: &[u8; N]) -> bool {
    name == usual || name.eq_ignore_ascii_case(usual)
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

    /// The meaning of these lines of one field, beside a valid `Host`.
    fn of_lines(version: Version, name: &str, lines: &[&str]) -> Result<Meaning, HttpError> {
        let mut fields = vec![("Host", "h")];
        fields.extend(lines.iter().map(|&line| (name, line)));
        meaning(version, &fields)
    }

    #[test]
    fn names_are_recognized_in_any_case() {
        for (name, expected) in [
            ("content-LENGTH", Ok(Framing::Length(42))),
            ("Content-Length", Ok(Framing::Length(42))),
            ("Content_Length", Ok(Framing::Length(0))),
            ("transfer-ENCODING", Err(HttpError::TransferCodingUnknown)),
        ] {
            let meaning = of_lines(Version::Http11, name, &["42"]);
            assert_eq!(meaning.map(|meaning| meaning.framing), expected, "{name}");
        }
    }

    #[test]
    fn persistence() {
        use Version::*;
        for (version, lines, expected) in [
            (Http11, &[][..], true),
            (Http11, &[""], true),
            (Http11, &["close"], false),
            (Http11, &["Keep-Alive"], true),
            (Http11, &["keep-alive, CLOSE"], false),
            (Http11, &["keep-alive", "close"], false),
            (Http11, &["close", "keep-alive"], false),
            (Http11, &[",,close,"], false),
            (Http11, &["upgrade"], true),
            (Http11, &["closed", "not-close"], true),
            (Http10, &[], false),
            (Http10, &["Keep-Alive"], true),
            (Http10, &["x,, keep-alive"], true),
            (Http10, &["x", "keep-alive"], true),
            (Http10, &["keep-alive, close"], false),
        ] {
            let meaning = of_lines(version, "Connection", lines);
            assert_eq!(meaning.map(|m| m.persistent), Ok(expected), "{version:?} {lines:?}");
        }
    }

    #[test]
    fn one_valid_host_in_1_1_and_at_most_one_in_1_0() {
        use HttpError as E;
        for (lines, in_1_1, in_1_0) in [
            (&[][..], Err(E::HostMissing), Ok(())),
            (&["h"], Ok(()), Ok(())),
            (&["[::1]:8080"], Ok(()), Ok(())),
            (&[""], Ok(()), Ok(())),
            (&["h h"], Err(E::Host), Err(E::Host)),
            (&["u@h"], Err(E::Host), Err(E::Host)),
            (&["h%4"], Err(E::Host), Err(E::Host)),
            (&["[::g]"], Err(E::Host), Err(E::Host)),
            (&["h", "h"], Err(E::Host), Err(E::Host)),
            (&["", ""], Err(E::Host), Err(E::Host)),
        ] {
            let fields: Vec<_> = lines.iter().map(|&line| ("hOST", line)).collect();
            for (version, expected) in [(Version::Http11, in_1_1), (Version::Http10, in_1_0)] {
                let verdict = meaning(version, &fields).map(|_| ());
                assert_eq!(verdict, expected, "{version:?} {lines:?}");
            }
        }
    }

    #[test]
    fn expectations() {
        use HttpError::ExpectationUnknown;
        use Version::*;
        for (version, lines, expected) in [
            (Http11, &[][..], Ok(false)),
            (Http11, &["", ","], Ok(false)),
            (Http11, &["100-Continue"], Ok(true)),
            (Http11, &[",100-continue", "100-CONTINUE,"], Ok(true)),
            (Http11, &["200-ok"], Err(ExpectationUnknown)),
            (Http11, &["200-ok, 100-continue"], Err(ExpectationUnknown)),
            (Http11, &["200-ok", "100-continue"], Err(ExpectationUnknown)),
            (Http11, &["100-continue", "x"], Err(ExpectationUnknown)),
            (Http11, &["100-continue;x"], Err(ExpectationUnknown)),
            (Http11, &["100-continue=1"], Err(ExpectationUnknown)),
            (Http10, &["200-ok"], Ok(false)),
            (Http10, &["100-continue"], Ok(false)),
        ] {
            let expects = of_lines(version, "Expect", lines).map(|it| it.expects_continue);
            assert_eq!(expects, expected, "{version:?} {lines:?}");
        }
    }

    #[test]
    fn fields_of_pages_are_noticed() {
        for (name, is_of_page) in [
            ("Origin", true),
            ("ORIGIN", true),
            ("sec-fetch-site", true),
            ("Sec-Fetch-Mode", false),
            ("Sec-Fetch-Dest", false),
            ("Orixin", false),
        ] {
            let meaning = of_lines(Version::Http11, name, &["x"]).unwrap();
            assert_eq!(meaning.extras.has(Extras::PAGE), is_of_page, "{name}");
            assert_eq!(meaning.extras.is_none(), !is_of_page, "{name}");
        }
    }

    #[test]
    fn content_codings_other_than_identity_are_noticed_in_every_line_and_element() {
        for (lines, coded) in [
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
            for version in [Version::Http10, Version::Http11] {
                let meaning = of_lines(version, "content-ENCODING", lines);
                assert_eq!(
                    meaning.map(|it| it.extras.has(Extras::CODED_CONTENT)),
                    Ok(coded),
                    "{lines:?}"
                );
            }
        }
    }
}
