//! The statuses this server sends (RFC 9110, 15).

/// A status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Status {
    Ok,
    NoContent,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ContentTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    ExpectationFailed,
    FieldsTooLarge,
    InternalServerError,
    NotImplemented,
    ServiceUnavailable,
    VersionNotSupported,
    InsufficientStorage,
}

impl Status {
    /// Every status once, in the order of declaration.
    pub const ALL: [Status; 17] = [
        Status::Ok,
        Status::NoContent,
        Status::BadRequest,
        Status::Forbidden,
        Status::NotFound,
        Status::MethodNotAllowed,
        Status::RequestTimeout,
        Status::ContentTooLarge,
        Status::UriTooLong,
        Status::UnsupportedMediaType,
        Status::ExpectationFailed,
        Status::FieldsTooLarge,
        Status::InternalServerError,
        Status::NotImplemented,
        Status::ServiceUnavailable,
        Status::VersionNotSupported,
        Status::InsufficientStorage,
    ];

    /// Returns the three digits as a number.
    pub const fn code(self) -> u16 {
        self.row().0
    }

    /// Returns the status code and the reason phrase as a status line has them.
    pub const fn phrase(self) -> &'static str {
        self.row().1
    }

    const fn row(self) -> (u16, &'static str) {
        match self {
            Status::Ok => (200, "200 OK"),
            Status::NoContent => (204, "204 No Content"),
            Status::BadRequest => (400, "400 Bad Request"),
            Status::Forbidden => (403, "403 Forbidden"),
            Status::NotFound => (404, "404 Not Found"),
            Status::MethodNotAllowed => (405, "405 Method Not Allowed"),
            Status::RequestTimeout => (408, "408 Request Timeout"),
            Status::ContentTooLarge => (413, "413 Content Too Large"),
            Status::UriTooLong => (414, "414 URI Too Long"),
            Status::UnsupportedMediaType => (415, "415 Unsupported Media Type"),
            Status::ExpectationFailed => (417, "417 Expectation Failed"),
            Status::FieldsTooLarge => (431, "431 Request Header Fields Too Large"),
            Status::InternalServerError => (500, "500 Internal Server Error"),
            Status::NotImplemented => (501, "501 Not Implemented"),
            Status::ServiceUnavailable => (503, "503 Service Unavailable"),
            Status::VersionNotSupported => (505, "505 HTTP Version Not Supported"),
            Status::InsufficientStorage => (507, "507 Insufficient Storage"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_listed_in_order_and_name_their_code() {
        for (i, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, i);
            assert!(status.phrase().starts_with(&format!("{} ", status.code())));
        }
    }
}
