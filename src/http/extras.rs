//! What a request has beyond method, target and content, and what its handler must look at.
//!
//! Nearly all requests have none of it, so a handler asks one question of one byte: is there anything?

/// A set of such things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras(u8);

impl Extras {
    /// `Content-Encoding` names a coding other than `identity` (RFC 9110, 8.4), such as gzip.
    pub const CODED_CONTENT: Extras = Extras(1);
    /// There is an `Origin` or a `Sec-Fetch-Site`: a page in a browser sends the request.
    pub const PAGE: Extras = Extras(1 << 1);

    /// Returns whether there is nothing to look at.
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Returns whether `extra` is among them.
    pub const fn has(self, extra: Extras) -> bool {
        self.0 & extra.0 != 0
    }

    /// Adds `extra`.
    pub fn add(&mut self, extra: Extras) {
        self.0 |= extra.0;
    }
}
