//! A whole request, borrowed from the buffer it was read into.

use super::extras::Extras;
use super::field_line::FieldLine;
use super::head::Head;
use super::method::Method;
use super::span::Span;
use super::version::Version;

/// A whole request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'b> {
    /// The method.
    pub method: Method,
    /// The version as which it is treated.
    pub version: Version,
    /// The bytes in which the two spans are places.
    input: &'b [u8],
    target: Span,
    path: Span,
    /// The content, without its transfer coding.
    pub content: &'b [u8],
    /// What else the handler must look at.
    pub extras: Extras,
    /// Whether the connection goes on after the answer.
    pub persistent: bool,
}

impl<'b> Request<'b> {
    /// Puts a request together. `input` begins with `head`.
    #[inline(always)]
    pub(super) fn new(head: &Head, input: &'b [u8], content: &'b [u8]) -> Request<'b> {
        Request {
            method: head.method,
            version: head.version,
            input,
            target: head.target,
            path: head.path,
            content,
            extras: head.extras,
            persistent: head.persistent,
        }
    }

    /// Returns the request target as it was sent.
    pub fn target(&self) -> &'b [u8] {
        self.target.of(self.input)
    }

    /// Returns the target's path; empty for `OPTIONS *` and `CONNECT`, see [`target`](super::target).
    #[inline(always)]
    pub fn path(&self) -> &'b [u8] {
        self.path.of(self.input)
    }

    /// Returns the value of the first line of this field, for fields that are no lists.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.values(name).next()
    }

    /// Returns the values of all lines of this field, which together are one list (RFC 9110, 5.3).
    /// Each call looks through the whole head.
    pub fn values<'n>(
        &self,
        name: &'n str,
    ) -> impl Iterator<Item = &'b [u8]> + Clone + use<'b, 'n> {
        let input = self.input;
        let section_at = self.target.range().end + " ".len() + Version::BYTES + "\r\n".len();
        FieldLine::all(input, section_at)
            .filter(|line| line.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|line| &input[line.value])
    }
}

#[cfg(test)]
mod tests {
    use crate::http::{Exchange, Memo, Step};

    #[test]
    fn fields_are_found_by_name_in_the_head_alone() {
        let mut input =
            b"\r\nPOST /?q HTTP/1.1\r\nHost: h\r\nuser-AGENT:\t a b \r\nEmpty:\r\nX: 1, 2\r\nx:\t3 \r\n\
            Content-Length: 7\r\n\r\nLate: 1"
                .to_vec();
        let mut exchange = Exchange::new(100);
        let step = exchange.advance(&mut input, &mut Memo::default());
        let Step::Request { request, .. } = step else { panic!("{step:?}") };
        for (name, expected) in [
            ("User-Agent", &["a b"][..]),
            ("Host", &["h"]),
            ("Empty", &[""]),
            ("X", &["1, 2", "3"]),
            ("Late", &[]),
            ("Hos", &[]),
            ("", &[]),
        ] {
            let values: Vec<&[u8]> = request.values(name).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|text| text.as_bytes()).collect();
            assert_eq!(values, expected, "{name}");
            assert_eq!(request.field(name), expected.first().copied(), "{name}");
        }
    }
}
