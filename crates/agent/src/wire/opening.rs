//! How the body of an answer begins, which shows what it is: a stream, a whole JSON answer, or a page.

use super::DecodeError;
use super::lines::Lines;
use super::words::title;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What an answer is by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// Too few bytes came to tell.
    Unknown,
    /// Lines are to be read as they come.
    Stream,
    /// It can be read only when all of it is there.
    Whole,
}

impl Opening {
    /// Looks at what has come, after a byte-order mark and blanks, which are passed over. `is_whole` is asked with all
    /// of it from the first byte that is no space on; `None`: too few bytes to tell.
    pub(super) fn look(
        self,
        lines: &mut Lines,
        is_whole: impl Fn(&[u8]) -> Option<bool>,
    ) -> Result<Self, DecodeError> {
        if self != Self::Unknown {
            return Ok(self);
        }
        let came = lines.untaken()?;
        if came.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(came) {
            return Ok(Self::Unknown);
        }
        let all = came.len();
        let came = came.strip_prefix(BYTE_ORDER_MARK).unwrap_or(came).trim_ascii_start();
        let passed_over = all - came.len();
        let opening = match came.first() {
            None => Self::Unknown,
            Some(b'<') => Self::Whole,
            Some(_) => match is_whole(came) {
                None => Self::Unknown,
                Some(true) => Self::Whole,
                Some(false) => Self::Stream,
            },
        };
        if opening != Self::Unknown {
            lines.skip(passed_over);
        }
        Ok(opening)
    }
}

/// A page is one as soon as its title has come.
pub(super) fn page_so_far(body: &[u8]) -> Result<(), DecodeError> {
    let title = title(body).filter(|_| body.trim_ascii_start().starts_with(b"<"));
    title.map_or(Ok(()), |title| Err(DecodeError::page(Some(title))))
}
