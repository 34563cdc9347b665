//! How large the content of a request may be.

/// The most bytes of content that a request may have, in general and at one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentLimits {
    usual: usize,
    /// A path with a limit of its own.
    exception: Option<(&'static str, usize)>,
    /// The smaller of both limits. It is stored because each request asks for it.
    least: usize,
}

/// The limit of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentLimit {
    /// Bytes of content.
    pub bytes: usize,
    /// Whether it is the limit of the path, not the general one.
    pub of_path: bool,
}

impl ContentLimits {
    /// Returns the limit `usual`, but `large` for requests of `path`.
    pub const fn with_exception(usual: usize, path: &'static str, large: usize) -> Self {
        let least = if large < usual { large } else { usual };
        ContentLimits { usual, exception: Some((path, large)), least }
    }

    /// Returns the limit of a request for `path`.
    pub fn of(&self, path: &[u8]) -> ContentLimit {
        match self.exception {
            Some((exception, bytes)) if exception.as_bytes() == path => {
                ContentLimit { bytes, of_path: true }
            }
            _ => ContentLimit { bytes: self.usual, of_path: false },
        }
    }

    /// Returns the number of bytes that every path allows.
    #[inline(always)]
    pub fn least(&self) -> usize {
        self.least
    }

    /// Returns the number of bytes that no path allows more of.
    pub fn most(&self) -> usize {
        self.exception.map_or(self.usual, |(_, bytes)| bytes.max(self.usual))
    }
}

impl From<usize> for ContentLimits {
    fn from(usual: usize) -> Self {
        ContentLimits { usual, exception: None, least: usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_may_differ() {
        for large in [5, 50] {
            let limits = ContentLimits::with_exception(20, "/large", large);
            assert_eq!(limits.of(b"/large"), ContentLimit { bytes: large, of_path: true });
            assert_eq!(limits.of(b"/other"), ContentLimit { bytes: 20, of_path: false });
            assert_eq!((limits.least(), limits.most()), (large.min(20), large.max(20)));
        }
        let limits = ContentLimits::from(7);
        assert_eq!((limits.of(b"").bytes, limits.least(), limits.most()), (7, 7, 7));
    }
}
