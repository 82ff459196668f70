//! The official package's streaming rule (docs/STREAMING.md), for comparison: the text of the last step, but for its last
//! tokens, is forced on the next one.

use crate::error::Result;
use crate::text::{ControlTokens, Tokenizer};
use serde::{Deserialize, Serialize};

/// Its two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficialRule {
    /// The first steps of an utterance force nothing (`unfixed_chunk_num`).
    pub steps_without_prefix: usize,
    /// Tokens taken back from the end of the text (`unfixed_token_num`).
    pub rollback: usize,
}

impl Default for OfficialRule {
    fn default() -> Self {
        Self { steps_without_prefix: 2, rollback: 5 }
    }
}

impl OfficialRule {
    /// The ids to force after `steps` steps of which the last gave `tokens`. The text is encoded anew, loses its last
    /// tokens, and more of them while half a character is left at its end; `is_last` keeps at least one token instead.
    pub(super) fn prefix(
        &self,
        tokenizer: &Tokenizer,
        tokens: &[u32],
        steps: usize,
        is_last: bool,
    ) -> Result<Vec<u32>> {
        if steps < self.steps_without_prefix {
            return Ok(Vec::new());
        }
        let mut prefix = encode_raw(tokenizer, tokens)?;
        let keep = prefix.len().saturating_sub(self.rollback);
        if is_last {
            prefix.truncate(keep.max(1));
            return Ok(prefix);
        }
        prefix.truncate(keep);
        while !prefix.is_empty() && tokenizer.decode(&prefix).contains(char::REPLACEMENT_CHARACTER) {
            prefix.pop();
        }
        Ok(prefix)
    }
}

/// Encodes the raw text of `tokens` again: what was cut between two tokens may become one. The tag between header and
/// text is a token of its own.
fn encode_raw(tokenizer: &Tokenizer, tokens: &[u32]) -> Result<Vec<u32>> {
    let tag = ControlTokens::find(tokenizer)?.asr_text;
    let mut ids = Vec::new();
    for (index, part) in tokens.split(|token| *token == tag).enumerate() {
        if index > 0 {
            ids.push(tag);
        }
        ids.extend(tokenizer.encode(&tokenizer.decode(part))?);
    }
    Ok(ids)
}
