//! Files that get their name when they are whole: neither a full disk nor a kill leaves half of one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Has `write` fill the file at `path`, which replaces an older one in one step. A device or a pipe is written to as it
/// is.
///
/// # Errors
/// When the file cannot be written or named.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let mut out = BufWriter::new(File::options().write(true).open(path)?);
        return write(&mut out).and_then(|()| out.flush());
    }
    create_whole(path, write).map(drop)
}

/// The same for a regular file, which stays open behind the written content.
///
/// # Errors
/// As [`write_whole`].
pub fn create_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut part = part_of(path)?;
    let mut out = BufWriter::new(part.as_file_mut());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    part.persist(path).map_err(|error| error.error)
}

/// Whether a file can be written there; nothing is left behind.
///
/// # Errors
/// As [`write_whole`].
pub fn try_place(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => Ok(()),
        // A name that is too long or has no meaning here.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => part_of(path).map(drop),
    }
}

/// A file in the folder of `path` that is removed unless it is given that name. Its own name is short, so that every
/// name that fits can be written, and differs between processes.
fn part_of(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".qasr-").suffix(".part");
    // As any new file: the library's own choice is one that only the owner can read.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_the_older_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, |out| out.write_all(b"first")).unwrap();
        let failed = write_whole(&path, |out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        try_place(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut open = create_whole(&path, |out| out.write_all(b"second ")).unwrap();
        open.write_all(b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second third");
        assert!(try_place(folder.path()).is_err() && try_place(&folder.path().join("no/such/file")).is_err());
    }
}
