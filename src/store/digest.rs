//! SHA-256 of files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::record::FileDigest;

/// Length and digest of a file as it is now.
pub fn of_file(path: &Path) -> io::Result<FileDigest> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(FileDigest { bytes, sha256: formats::digest::hex(&hash.finalize()) });
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}
