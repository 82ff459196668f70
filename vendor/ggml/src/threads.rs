//! How many threads to compute with.

/// Physical parallelism the process may use; ggml's workers spin at barriers, so never more than that.
pub(crate) fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What a caller asked for, 0 meaning everything. More than there are processors only makes the workers wait for each
/// other, and ggml ends the process when it cannot start them all.
pub(crate) fn bounded(asked: usize) -> usize {
    if asked == 0 { available() } else { asked.min(available()) }
}
