//! SHA-256 of whole files, read piece by piece.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// The SHA-256 of a file in hexadecimal. `progress` gets the bytes of every piece that was read.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn of_file(path: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hexadecimal(hasher)),
            length => {
                hasher.update(&piece[..length]);
                progress(length as u64);
            }
        }
    }
}

/// The SHA-256 of content in memory, in hexadecimal.
pub fn of(content: &[u8]) -> String {
    hexadecimal(Sha256::new_with_prefix(content))
}

fn hexadecimal(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_hash_of_its_content() {
        let path = std::env::temp_dir().join(format!("qasr-sha256-{}", std::process::id()));
        let content = vec![7_u8; PIECE + 3];
        std::fs::write(&path, &content).unwrap();
        let mut read = 0;
        assert_eq!(of_file(&path, &mut |bytes| read += bytes).unwrap(), of(&content));
        assert_eq!(read, content.len() as u64);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(of(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(of_file(&path, &mut |_| {}).is_err());
    }
}
