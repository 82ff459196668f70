//! Many short byte strings in one allocation: a vocabulary of 150,000 tokens loads in milliseconds and costs its
//! bytes plus four per token.

/// Byte strings by index.
#[derive(Debug, Default)]
pub(super) struct PieceTable {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl PieceTable {
    /// An empty table with room for `count` strings.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count * 7), ends: Vec::with_capacity(count) }
    }

    /// Appends what `write` puts at the end of the bytes. `None` when the table would pass 4 GiB.
    pub(super) fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Option<Result<(), E>> {
        let result = write(&mut self.bytes);
        self.ends.push(u32::try_from(self.bytes.len()).ok()?);
        Some(result)
    }

    /// The string at `index`; `None` past the end.
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)? as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.bytes.get(start..end)
    }

    /// All strings in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).filter_map(|index| self.get(index))
    }
}
