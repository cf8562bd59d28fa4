//! Where captured packets wait for the end of the run: in memory up to a bound, then in a file.
//!
//! The file has no name from the moment on at which it is opened, so that nothing of it is left whatever
//! becomes of the program: requests carry API keys.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of memory that are asked for at once, so that what is kept is never copied.
const BLOCK: usize = 4 << 20;
/// Time of day, interface, bytes of the packet, bytes of it that are kept.
const HEAD: usize = 8 + 4 + 4 + 4;

/// Packets in the order in which they were captured.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// Bytes that may stay in memory.
    bound: usize,
    blocks: Vec<Vec<u8>>,
    file: Option<BufWriter<File>>,
    in_memory: usize,
    in_file: u64,
}

/// A packet that was kept.
#[derive(Debug, Clone, Copy)]
pub struct Spooled<'p> {
    pub stamp_ns: u64,
    pub interface: u32,
    /// What the packet had; more than `bytes` if it was cut.
    pub length: u32,
    pub bytes: &'p [u8],
}

impl Spool {
    /// Keeps up to `bound` bytes in memory and the rest in a file of that folder.
    #[must_use]
    pub fn new(folder: &Path, bound: usize) -> Self {
        Self {
            folder: folder.to_owned(),
            bound,
            blocks: Vec::new(),
            file: None,
            in_memory: 0,
            in_file: 0,
        }
    }

    /// Bytes kept, those in the file among them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.in_memory as u64 + self.in_file
    }

    /// Bytes that went into the file.
    #[must_use]
    pub fn in_file(&self) -> u64 {
        self.in_file
    }

    /// Keeps a packet.
    pub fn push(&mut self, packet: &Spooled<'_>) -> io::Result<()> {
        let kept = u32::try_from(packet.bytes.len()).map_err(io::Error::other)?;
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&packet.stamp_ns.to_le_bytes());
        head[8..12].copy_from_slice(&packet.interface.to_le_bytes());
        head[12..16].copy_from_slice(&packet.length.to_le_bytes());
        head[16..].copy_from_slice(&kept.to_le_bytes());
        let size = HEAD + packet.bytes.len();
        if self.file.is_none() && self.in_memory + size <= self.bound {
            if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < size) {
                self.blocks.push(Vec::with_capacity(BLOCK.max(size)));
            }
            if let Some(block) = self.blocks.last_mut() {
                block.extend_from_slice(&head);
                block.extend_from_slice(packet.bytes);
            }
            self.in_memory += size;
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::with_capacity(1 << 20, nameless(&self.folder)?)),
        };
        file.write_all(&head)?;
        file.write_all(packet.bytes)?;
        self.in_file += size as u64;
        Ok(())
    }

    /// Shows every packet, in order, and forgets them.
    pub fn read(self, each: &mut dyn FnMut(&Spooled<'_>)) -> io::Result<()> {
        let mut bytes = Vec::new();
        for block in self.blocks {
            let mut rest = &block[..];
            while let Some(packet) = next(&mut rest, &mut bytes)? {
                each(&packet);
            }
        }
        let Some(file) = self.file else { return Ok(()) };
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        while let Some(packet) = next(&mut file, &mut bytes)? {
            each(&packet);
        }
        Ok(())
    }
}

/// The next packet; `None` at the end.
fn next<'b>(from: &mut dyn Read, bytes: &'b mut Vec<u8>) -> io::Result<Option<Spooled<'b>>> {
    let mut stamp = [0; 8];
    match from.read_exact(&mut stamp) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut number = || {
        let mut four = [0; 4];
        from.read_exact(&mut four)?;
        Ok::<u32, io::Error>(u32::from_le_bytes(four))
    };
    let (interface, length, kept) = (number()?, number()?, number()?);
    bytes.resize(kept as usize, 0);
    from.read_exact(bytes)?;
    Ok(Some(Spooled { stamp_ns: u64::from_le_bytes(stamp), interface, length, bytes }))
}

/// A file of the folder that is gone as soon as it is closed.
fn nameless(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".wire-{}.spool", std::process::id()));
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_back_in_order_from_memory_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path(), 1000);
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=255_u32 {
            let bytes = &bytes[..length as usize];
            let packet = Spooled { stamp_ns: u64::from(length), interface: 7, length, bytes };
            spool.push(&packet).unwrap();
        }
        assert_eq!(spool.bytes(), 256 * 20 + 255 * 128);
        assert!(spool.in_file() > 30_000);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
        let mut expected = 0..=255_u32;
        spool
            .read(&mut |packet| {
                let length = expected.next().unwrap();
                assert_eq!((packet.stamp_ns, packet.length), (u64::from(length), length));
                assert_eq!((packet.interface, packet.bytes), (7, &bytes[..length as usize]));
            })
            .unwrap();
        assert_eq!(expected.next(), None);
    }
}
