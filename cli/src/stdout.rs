//! Whether there is a standard output at all.

use qasr::error::Error;

/// True when the program was started without a standard output (`>&-`). Rust's runtime puts the null device there, opened
/// for reading too, which a redirection to it is not.
#[cfg(unix)]
pub fn is_closed() -> bool {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::fs::{File, metadata};
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let stdout = std::io::stdout();
    let is_read_write = fcntl(&stdout, FcntlArg::F_GETFL)
        .is_ok_and(|flags| OFlag::from_bits_retain(flags).intersection(OFlag::O_ACCMODE) == OFlag::O_RDWR);
    let device = stdout.as_fd().try_clone_to_owned().and_then(|stdout| File::from(stdout).metadata());
    let null = metadata("/dev/null");
    is_read_write && matches!((device, null), (Ok(device), Ok(null)) if device.rdev() == null.rdev())
}

#[cfg(not(unix))]
pub fn is_closed() -> bool {
    false
}

/// Why nothing was done.
pub fn closed() -> Error {
    Error::output("standard output is closed, and nothing else was asked for: redirect it, or name output files")
}
