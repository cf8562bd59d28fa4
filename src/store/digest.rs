//! SHA-256 of files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::record::FileDigest;
use crate::os::files;

/// Length and digest of a file as it is now, whatever leads to it.
pub fn of_file(path: &Path) -> io::Result<FileDigest> {
    of(File::open(path)?)
}

/// As [`of_file`], of a file in a run's folder: what leads elsewhere is an error.
pub fn of_stored(path: &Path) -> io::Result<FileDigest> {
    of(files::open(path)?)
}

fn of(mut file: File) -> io::Result<FileDigest> {
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
