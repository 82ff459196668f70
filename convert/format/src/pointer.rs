//! Git LFS pointers: short texts that stand where a clone without Git LFS should have a large file.

/// First lines of a pointer: the line that Git LFS writes, and the one of its first releases.
const BEGINNINGS: [&[u8]; 2] = [b"version https://git-lfs", b"version https://hawser"];

/// How many bytes of a file decide whether it is a pointer.
pub const DECISIVE_BYTES: usize = 24;

/// The message about a file that is a pointer, after its path and a colon.
pub const ADVICE: &str = "is a Git LFS pointer: fetch the real file with `git lfs pull`";

/// Whether a file with this beginning is a pointer.
pub fn is_pointer(start: &[u8]) -> bool {
    BEGINNINGS.iter().any(|beginning| start.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_known_by_its_first_line() {
        for (start, expected) in [
            (&b"version https://git-lfs.github.com/spec/v1\noid sha256:"[..DECISIVE_BYTES], true),
            (&b"version https://hawser.github.com/spec/v1"[..DECISIVE_BYTES], true),
            (b"version: 1.0", false),
            (b"version https://git", false),
            (b"GGUF", false),
            (b"", false),
        ] {
            assert_eq!(is_pointer(start), expected, "{start:?}");
        }
    }
}
