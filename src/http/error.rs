//! The ways in which a client can break the protocol: one variant for each cause, and one table of
//! answers.
//!
//! Each of them ends the connection. After it the two sides may disagree about where the next request
//! begins, so nothing that follows on the connection may be processed (RFC 9112, 2.2 and 6.3).

use super::status::Status;

/// A violation of HTTP/1.1, or of a limit, by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The request line is not `method SP request-target SP HTTP-version CRLF` (RFC 9112, 3), or holds
    /// a control character.
    RequestLine,
    /// The request target has none of the four forms (RFC 9112, 3.2).
    Target,
    /// The version is not `HTTP/DIGIT.DIGIT` (RFC 9112, 2.3).
    Version,
    /// A major version other than 1 (RFC 9110, 15.6.6).
    VersionUnsupported,
    /// The method alone is longer than a request line may be (RFC 9112, 3).
    MethodTooLong,
    /// The request line is longer than [`REQUEST_LINE_BYTES_MAX`](crate::limits::REQUEST_LINE_BYTES_MAX).
    RequestLineTooLong,
    /// A field line is not `token ":" field-value CRLF` (RFC 9112, 5).
    FieldLine,
    /// A field line begins with white space: obs-fold (RFC 9112, 5.2), or before the first field.
    FieldFolded,
    /// The header or trailer section breaks its limit of bytes or of fields.
    FieldsTooLarge,
    /// HTTP/1.1 without `Host` (RFC 9112, 3.2).
    HostMissing,
    /// More than one `Host`, or one that is not `uri-host [":" port]` (RFC 9112, 3.2).
    Host,
    /// `Content-Length` is not one decimal number of bytes (RFC 9110, 8.6).
    ContentLength,
    /// `Content-Length` and `Transfer-Encoding` in one request (RFC 9112, 6.1).
    FramingAmbiguous,
    /// `Transfer-Encoding` whose final coding is not one plain `chunked` (RFC 9112, 6.3), or in HTTP/1.0.
    TransferEncoding,
    /// A transfer coding this server does not implement (RFC 9112, 6.1).
    TransferCodingUnknown,
    /// An expectation other than `100-continue` (RFC 9110, 10.1.1).
    ExpectationUnknown,
    /// A chunk size, chunk extension or chunk end is malformed (RFC 9112, 7.1).
    Chunk,
    /// The content is longer than the server takes.
    ContentTooLarge,
    /// The header section was not complete in time.
    HeaderTimeout,
    /// The content was not complete in time.
    BodyTimeout,
}

impl HttpError {
    /// Every variant once, in the order of declaration.
    pub const ALL: [HttpError; 20] = [
        HttpError::RequestLine,
        HttpError::Target,
        HttpError::Version,
        HttpError::VersionUnsupported,
        HttpError::MethodTooLong,
        HttpError::RequestLineTooLong,
        HttpError::FieldLine,
        HttpError::FieldFolded,
        HttpError::FieldsTooLarge,
        HttpError::HostMissing,
        HttpError::Host,
        HttpError::ContentLength,
        HttpError::FramingAmbiguous,
        HttpError::TransferEncoding,
        HttpError::TransferCodingUnknown,
        HttpError::ExpectationUnknown,
        HttpError::Chunk,
        HttpError::ContentTooLarge,
        HttpError::HeaderTimeout,
        HttpError::BodyTimeout,
    ];

    /// Returns the status of the answer.
    pub const fn status(self) -> Status {
        self.row().0
    }

    /// Returns a short name for metrics and logs.
    pub const fn reason(self) -> &'static str {
        self.row().1
    }

    /// Returns one sentence for the client, without any character that JSON must escape.
    pub const fn message(self) -> &'static str {
        self.row().2
    }

    // A table: one row for each cause.
    const fn row(self) -> (Status, &'static str, &'static str) {
        use Status::*;
        match self {
            HttpError::RequestLine => (
                BadRequest,
                "request_line",
                "The request line must be: method, one space, target, one space, HTTP/1.1, CRLF; without control characters.",
            ),
            HttpError::Target => (
                BadRequest,
                "target",
                "The request target must be a path such as /event or an absolute http URI, without forbidden characters.",
            ),
            HttpError::Version => (
                BadRequest,
                "version",
                "The protocol version must be written HTTP/1.1 or HTTP/1.0.",
            ),
            HttpError::VersionUnsupported => (
                VersionNotSupported,
                "version_unsupported",
                "This server speaks HTTP/1.1 and HTTP/1.0 only.",
            ),
            HttpError::MethodTooLong => (
                NotImplemented,
                "method_too_long",
                "This server does not know that method; the longest it knows has 7 letters.",
            ),
            HttpError::RequestLineTooLong => (
                UriTooLong,
                "request_line_too_long",
                "The request line must not be longer than 8192 bytes.",
            ),
            HttpError::FieldLine => (
                BadRequest,
                "field_line",
                "A header field line must be: name, colon, value without control characters, CRLF.",
            ),
            HttpError::FieldFolded => {
                (BadRequest, "field_folded", "A header field line must not begin with white space.")
            }
            HttpError::FieldsTooLarge => (
                FieldsTooLarge,
                "fields_too_large",
                "The header section must not have more than 100 fields or 16384 bytes.",
            ),
            HttpError::HostMissing => {
                (BadRequest, "host_missing", "An HTTP/1.1 request must have a Host field.")
            }
            HttpError::Host => (
                BadRequest,
                "host",
                "There must be one Host field; its value must be a host name or address, and optionally a colon and a port number.",
            ),
            HttpError::ContentLength => (
                BadRequest,
                "content_length",
                "Content-Length must be sent once and be a decimal number of bytes.",
            ),
            HttpError::FramingAmbiguous => (
                BadRequest,
                "framing_ambiguous",
                "A request must not have both Content-Length and Transfer-Encoding.",
            ),
            HttpError::TransferEncoding => (
                BadRequest,
                "transfer_encoding",
                "Transfer-Encoding must be chunked, and needs HTTP/1.1.",
            ),
            HttpError::TransferCodingUnknown => (
                NotImplemented,
                "transfer_coding_unknown",
                "The only transfer coding this server knows is chunked.",
            ),
            HttpError::ExpectationUnknown => (
                ExpectationFailed,
                "expectation_unknown",
                "The only expectation this server knows is 100-continue.",
            ),
            HttpError::Chunk => (
                BadRequest,
                "chunk",
                "A chunk must be: size in hexadecimal digits, extensions such as ;name=value, CRLF, this number of bytes, CRLF.",
            ),
            HttpError::ContentTooLarge => (
                ContentTooLarge,
                "content_too_large",
                "The content of the request is larger than this server takes.",
            ),
            HttpError::HeaderTimeout => (
                RequestTimeout,
                "header_timeout",
                "The header section of the request did not arrive in time.",
            ),
            HttpError::BodyTimeout => (
                RequestTimeout,
                "body_timeout",
                "The content of the request did not arrive in time.",
            ),
        }
    }
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for HttpError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_need_no_escape_in_json_and_reasons_are_labels() {
        for (i, error) in HttpError::ALL.into_iter().enumerate() {
            assert_eq!(error as usize, i, "ALL follows the declaration");
            assert!(
                error
                    .message()
                    .bytes()
                    .all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\')
            );
            assert!(error.reason().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert!(error.status().code() >= 400);
        }
    }
}
