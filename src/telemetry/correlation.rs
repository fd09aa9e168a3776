//! Ids that arrive in headers and tie a request to log lines, events and workers.
//! Always holds: what goes on is either exactly what came and is safe to print, or minted here; a malformed header is
//! replaced, never an error. Absent: spans and sampling; a trace is passed on, not recorded.

use std::fmt;

/// Longest accepted request id, in characters.
pub const REQUEST_ID_CHARS_MAX: usize = 128;

/// The id of one request: the caller's, when it is fit to be printed, else minted. Also the correlation id of what
/// the request causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Takes `given` when it is 1 to 128 visible ASCII characters, else what `mint` makes.
    pub fn accept(given: Option<&[u8]>, mint: impl FnOnce() -> uuid::Uuid) -> Self {
        let fits = |id: &&[u8]| {
            !id.is_empty()
                && id.len() <= REQUEST_ID_CHARS_MAX
                && id.iter().all(u8::is_ascii_graphic)
        };
        match given.filter(fits).and_then(|id| std::str::from_utf8(id).ok()) {
            Some(id) => Self(id.to_owned()),
            None => Self(mint().to_string()),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A W3C trace context, version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// Reads a `traceparent` header; `None` when the specification says to ignore it. A later version is read as far
    /// as version 00 goes.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace_id, span_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        };
        let shaped = hex(version, 2) && hex(trace_id, 32) && hex(span_id, 16) && hex(flags, 2);
        if !shaped || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let context = Self {
            trace_id: u128::from_str_radix(trace_id, 16).ok()?,
            span_id: u64::from_str_radix(span_id, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (context.trace_id != 0 && context.span_id != 0).then_some(context)
    }

    /// A new trace from three drawn numbers; marked as not sampled, because nothing is recorded here.
    pub fn mint(high: u64, low: u64, span: u64) -> Self {
        // Zero is the one value that means "none".
        let trace_id = ((u128::from(high) << 64) | u128::from(low)).max(1);
        Self { trace_id, span_id: span.max(1), flags: 0 }
    }

    /// The same trace, one step further: `span` is drawn.
    pub fn child(self, span: u64) -> Self {
        Self { span_id: span.max(1), ..self }
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }
}

impl fmt::Display for TraceContext {
    /// As the `traceparent` header, and a lease's `trace`, carry it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_fit_request_id_is_kept_and_any_other_replaced() {
        let minted = uuid::Uuid::from_u128(7);
        let accept = |given: Option<&[u8]>| RequestId::accept(given, || minted).to_string();
        assert_eq!(accept(Some(b"req-1:a/b")), "req-1:a/b");
        assert_eq!(accept(Some(&[b'x'; 128])), "x".repeat(128));
        for unfit in
            [None, Some(&b""[..]), Some(b"a b"), Some(b"a\nb"), Some(&[b'x'; 129]), Some(&[0xff])]
        {
            assert_eq!(accept(unfit), minted.to_string());
        }
    }

    #[test]
    fn a_trace_context_is_passed_on_as_it_came() {
        assert_eq!(
            TraceContext::parse(HEADER).map(|context| context.to_string()).as_deref(),
            Some(HEADER)
        );
        let child = TraceContext::parse(HEADER).map(|context| context.child(0));
        assert_eq!(
            child.map(|child| child.trace_id()).as_deref(),
            Some("4bf92f3577b34da6a3ce929d0e0e4736")
        );
        assert_eq!(child.map(|child| child.span_id()).as_deref(), Some("0000000000000001"));
    }

    #[test]
    fn what_the_specification_ignores_is_ignored() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = HEADER.replace("00f067aa0ba902b7", "0000000000000000");
        let upper = HEADER.to_uppercase();
        let (longer, forbidden) = (format!("{HEADER}-x"), HEADER.replacen("00", "ff", 1));
        for header in ["", "00", "00-1-2-3", &zero_trace, &zero_span, &upper, &longer, &forbidden] {
            assert_eq!(TraceContext::parse(header), None, "{header}");
        }
        let future = format!("{}-later", HEADER.replacen("00", "cc", 1));
        assert!(
            TraceContext::parse(&future).is_some(),
            "a later version is read as far as 00 goes"
        );
    }

    #[test]
    fn a_minted_context_is_valid() {
        for context in [TraceContext::mint(0, 0, 0), TraceContext::mint(1, 2, 3)] {
            assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        }
    }
}
