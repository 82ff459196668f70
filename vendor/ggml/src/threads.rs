//! How many threads to compute with when nobody says.

/// Physical parallelism the process may use; ggml's workers spin at barriers, so never more than that.
pub(crate) fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
