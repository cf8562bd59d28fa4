//! How the body of an answer begins, which shows what it is: a stream, a whole JSON answer, or a page.

use super::DecodeError;
use super::lines::Lines;
use super::words::title;

/// Longest beginning of a page that is searched for its title, bytes.
const PAGE_LIMIT: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What an answer is by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// Too few bytes came to tell.
    Unknown,
    /// Nothing but blanks came, a byte-order mark before them or none.
    Blank,
    /// Lines are to be read as they come.
    Stream,
    /// It can be read only when all of it is there.
    Whole,
}

impl Opening {
    /// Looks at what has come, after a byte-order mark and blanks, which are passed over. `is_whole`: whether a
    /// body that begins with this byte is read only when all of it is there.
    pub(super) fn look(
        self,
        lines: &mut Lines,
        is_whole: impl Fn(u8) -> bool,
    ) -> Result<Self, DecodeError> {
        if matches!(self, Self::Stream | Self::Whole) {
            return Ok(self);
        }
        let came = lines.untaken()?;
        let mut rest = came;
        if self == Self::Unknown {
            if came.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(came) {
                return Ok(Self::Unknown);
            }
            rest = came.strip_prefix(BYTE_ORDER_MARK).unwrap_or(came);
        }
        let rest = rest.trim_ascii_start();
        let opening = match rest.first() {
            None => Self::Blank,
            Some(&byte) if byte == b'<' || is_whole(byte) => Self::Whole,
            Some(_) => Self::Stream,
        };
        lines.skip(came.len() - rest.len());
        Ok(opening)
    }
}

/// A page is one as soon as its title has come, or so much that there is none.
pub(super) fn page_so_far(body: &[u8]) -> Result<(), DecodeError> {
    if !body.starts_with(b"<") {
        return Ok(());
    }
    let title = title_of(body);
    if title.is_some() || body.len() > PAGE_LIMIT { Err(DecodeError::page(title)) } else { Ok(()) }
}

/// The title of a page, which is looked for at its beginning alone.
pub(super) fn title_of(page: &[u8]) -> Option<String> {
    title(page.get(..PAGE_LIMIT).unwrap_or(page))
}
