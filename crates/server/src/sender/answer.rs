//! What is kept of an answer while it is being read.

use tidings_core::limits::RESPONSE_BODY_CHARS_MAX;
use tidings_core::outcome::{Answer, keep_body};

use super::failure::Stage;

/// Bytes of a body that are read; then the connection is closed.
pub(super) const BODY_BYTES_READ: usize = 64 << 10;
/// Bytes of a body that can hold the characters that are kept, and one more to know that there are more.
const BODY_BYTES_KEPT: usize = 4 * (RESPONSE_BODY_CHARS_MAX + 1);

/// An attempt's memory, outside its future, so that it is there when the deadline drops that.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) stage: Stage,
    answer: Option<Answer>,
    /// Its first bytes: [`BODY_BYTES_KEPT`] of them, or all that are read.
    body: Vec<u8>,
    whole: bool,
    read: usize,
    complete: bool,
}

impl Reading {
    /// One that keeps all of the body that is read.
    pub(super) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Takes the head: from here on there is an answer.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// Takes a piece of the body; `false` when enough has been read.
    pub(super) fn data(&mut self, data: &[u8]) -> bool {
        let most = if self.whole { BODY_BYTES_READ } else { BODY_BYTES_KEPT };
        let room = most.saturating_sub(self.body.len());
        self.body.extend_from_slice(&data[..data.len().min(room)]);
        self.read += data.len();
        self.read <= BODY_BYTES_READ
    }

    /// The body has ended as announced.
    pub(super) fn ended(&mut self) {
        self.complete = true;
    }

    /// The answer, with its body as far as it was kept; or how far the attempt had come without one.
    pub(super) fn into_answer(self) -> Result<(Answer, Vec<u8>), Stage> {
        let mut answer = self.answer.ok_or(self.stage)?;
        let (body, cut) = keep_body(&self.body);
        answer.body = body;
        answer.truncated = cut || !self.complete;
        Ok((answer, self.body))
    }
}
