//! How the end of a request's content is found (RFC 9112, 6).
//!
//! This is where two readers of the same bytes can disagree about where the next request begins. So
//! only two forms are accepted: one `Content-Length` that is one number, or a `Transfer-Encoding`
//! whose only coding is `chunked`. Everything else is refused.

use super::error::HttpError;
use super::list::elements;
use super::scan::TOKEN;
use super::version::Version;

/// How the end of a request's content is found (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The content has this number of bytes; 0 also where the request has neither framing field.
    Length(u64),
    /// The content has the chunked transfer coding.
    Chunked,
}

/// The framing fields of a header section, as far as it has been read.
#[derive(Clone, Copy, Debug, Default)]
pub struct FramingFields {
    content_length: Option<u64>,
    codings: Option<Codings>,
}

/// The list of all `Transfer-Encoding` lines together (RFC 9110, 5.3).
#[derive(Clone, Copy, Debug, Default)]
struct Codings {
    chunked_count: u32,
    final_is_chunked: bool,
    other_registered: bool,
    unknown: bool,
}

impl FramingFields {
    /// Takes a line of `Content-Length`: `1*DIGIT`, once (RFC 9110, 8.6).
    ///
    /// # Errors
    /// `ContentLength` for a second line, even with the same number, and for a number that is
    /// malformed or has no room in 64 bits.
    #[inline(always)]
    pub fn take_content_length(&mut self, value: &[u8]) -> Result<(), HttpError> {
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

    /// Takes a line of `Transfer-Encoding`.
    pub fn take_transfer_encoding(&mut self, value: &[u8]) {
        self.codings.get_or_insert_default().take(value);
    }

    /// Returns whether `Content-Length` was taken.
    #[inline(always)]
    pub fn has_content_length(&self) -> bool {
        self.content_length.is_some()
    }

    /// Judges the fields of a whole section (RFC 9112, 6.1 and 6.3).
    ///
    /// # Errors
    /// `FramingAmbiguous` for both fields, `TransferEncoding` and `TransferCodingUnknown`.
    #[inline(always)]
    pub fn verdict(&self, version: Version) -> Result<Framing, HttpError> {
        match self.codings {
            None => Ok(Framing::Length(self.content_length.unwrap_or(0))),
            Some(_) if self.content_length.is_some() => Err(HttpError::FramingAmbiguous),
            Some(_) if version == Version::Http10 => Err(HttpError::TransferEncoding),
            Some(codings) => codings.verdict(),
        }
    }
}

impl Codings {
    fn take(&mut self, value: &[u8]) {
        for coding in elements(value) {
            self.final_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            if self.final_is_chunked {
                self.chunked_count += 1;
            } else if is_registered_or_malformed(coding) {
                self.other_registered = true;
            } else {
                self.unknown = true;
            }
        }
    }

    /// A coding that is not implemented is `501`. A list that leaves the end of the content open, or
    /// that names `chunked` twice, is `400`.
    fn verdict(self) -> Result<Framing, HttpError> {
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

/// Whether `coding` is a registered transfer coding other than `chunked` (RFC 9112, 7.2), `identity`
/// of RFC 2616, or no name at all, such as `chunked` in quotes or with parameters.
fn is_registered_or_malformed(coding: &[u8]) -> bool {
    let registered: [&[u8]; 6] =
        [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"];
    let is_name = TOKEN.run_length(coding) == coding.len();
    !is_name || registered.iter().any(|name| coding.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict over lines, each `l` or `t` for its field, a colon and the value.
    fn verdict(version: Version, lines: &[&str]) -> Result<Framing, HttpError> {
        let mut fields = FramingFields::default();
        for line in lines {
            let (field, value) = line.split_once(':').unwrap();
            match field {
                "l" => fields.take_content_length(value.as_bytes())?,
                _ => fields.take_transfer_encoding(value.as_bytes()),
            }
        }
        fields.verdict(version)
    }

    #[test]
    fn verdicts() {
        use Framing::*;
        use HttpError as E;
        for (lines, expected) in [
            (&[][..], Ok(Length(0))),
            (&["l:0042"], Ok(Length(42))),
            (&["l:18446744073709551615"], Ok(Length(u64::MAX))),
            (&["l:18446744073709551616"], Err(E::ContentLength)),
            (&["l:00000000000000000000000000000000005"], Ok(Length(5))),
            (&["l:"], Err(E::ContentLength)),
            (&["l:+5"], Err(E::ContentLength)),
            (&["l:-5"], Err(E::ContentLength)),
            (&["l:0x5"], Err(E::ContentLength)),
            (&["l:5 "], Err(E::ContentLength)),
            (&["l:5, 5"], Err(E::ContentLength)),
            (&["l:,5"], Err(E::ContentLength)),
            (&["l:5", "l:6"], Err(E::ContentLength)),
            (&["l:5", "l:5"], Err(E::ContentLength)),
            (&["t:Chunked"], Ok(Chunked)),
            (&["t:,chunked"], Ok(Chunked)),
            (&["t:chunked ,"], Ok(Chunked)),
            (&["t:,, chunked,\t,"], Ok(Chunked)),
            (&["t:", "t:chunked"], Ok(Chunked)),
            (&["t:chunked", "t:,"], Ok(Chunked)),
            (&["t:chunked", "l:5"], Err(E::FramingAmbiguous)),
            (&["l:0", "t:"], Err(E::FramingAmbiguous)),
            (&["t:"], Err(E::TransferEncoding)),
            (&["t:,"], Err(E::TransferEncoding)),
            (&["t:gzip"], Err(E::TransferEncoding)),
            (&["t:identity"], Err(E::TransferEncoding)),
            (&["t:chunked, gzip"], Err(E::TransferEncoding)),
            (&["t:chunked, chunked"], Err(E::TransferEncoding)),
            (&["t:chunked", "t:chunked"], Err(E::TransferEncoding)),
            (&["t:chunked", "t:identity"], Err(E::TransferEncoding)),
            (&["t:chunked;q=1"], Err(E::TransferEncoding)),
            (&["t:chunked;"], Err(E::TransferEncoding)),
            (&["t:\"chunked\""], Err(E::TransferEncoding)),
            (&["t:\"x, chunked"], Err(E::TransferEncoding)),
            (&["t:chunked chunked"], Err(E::TransferEncoding)),
            (&["t:gzip, chunked"], Err(E::TransferCodingUnknown)),
            (&["t:gzip", "t:chunked"], Err(E::TransferCodingUnknown)),
            (&["t:gzip;x=\"a,b\", chunked"], Err(E::TransferCodingUnknown)),
            (&["t:xchunked"], Err(E::TransferCodingUnknown)),
            (&["t:chunked, x"], Err(E::TransferCodingUnknown)),
        ] {
            assert_eq!(verdict(Version::Http11, lines), expected, "{lines:?}");
        }
        let in_1_0 = verdict(Version::Http10, &["t:chunked"]);
        assert_eq!(in_1_0, Err(HttpError::TransferEncoding));
    }
}
