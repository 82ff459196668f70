//! Whether there is a standard output at all.

use qasr::error::Error;

/// True when the program was started without a standard output (`>&-`). Rust's runtime puts the null device there, opened
/// for reading too, which a redirection to it is not.
#[cfg(unix)]
pub fn is_closed() -> bool {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::os::unix::fs::MetadataExt;
    let stdout = std::io::stdout();
    let is_read_write = fcntl(&stdout, FcntlArg::F_GETFL)
        .is_ok_and(|flags| OFlag::from_bits_retain(flags).intersection(OFlag::O_ACCMODE) == OFlag::O_RDWR);
    let null = std::fs::metadata("/dev/null").map(|metadata| metadata.rdev());
    is_read_write
        && nix::sys::stat::fstat(&stdout).is_ok_and(|stdout| null.is_ok_and(|null| null == stdout.st_rdev as u64))
}

#[cfg(not(unix))]
pub fn is_closed() -> bool {
    false
}

/// Why nothing was done.
pub fn closed() -> Error {
    Error::output("standard output is closed, and nothing else was asked for: redirect it, or name output files")
}
