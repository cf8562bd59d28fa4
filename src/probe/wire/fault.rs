//! Why a call has no figures of the wire.

/// A reason; in words the same for every call that it holds for, so that calls can be counted by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    #[error("no request was sent")]
    NotSent,
    #[error("its request was not seen")]
    NotSeen,
    #[error("its request was seen more than once, on connections that cannot be told apart")]
    Ambiguous,
    #[error("its connection was open before the capture began, or its beginning was not captured")]
    Begun,
    #[error("bytes of its connection are missing from the capture")]
    Hole,
    #[error("the capture ended before it did")]
    Ended,
    #[error("IP fragments of its connection were seen, which are not put together")]
    Fragments,
    #[error("its connection does not speak HTTP/1.1")]
    NotHttp,
    #[error("its connection has an answer to no request")]
    Unasked,
    #[error("its answer is compressed")]
    Compressed,
    #[error("its answer cannot be decoded")]
    Undecodable,
    #[error("its request was not seen to its end")]
    RequestCut,
    #[error("it is encrypted, and its record does not name the port that it came from")]
    NoPort,
    #[error("it is encrypted, and its record does not say when its request was sent")]
    NoSent,
    #[error("it is encrypted, and no answer to its request was seen")]
    NoAnswer,
    #[error("its answer has another number of chunks with text on the wire than in its record")]
    Chunks { wire: usize, record: usize },
    #[error("text of its answer arrived before its request was whole")]
    Early,
    #[error("its record says that bytes were taken before they arrived")]
    Order,
    #[error("the time of day was set during the run")]
    ClockSet,
}
