//! Owns: the way to the journal's socket, also of what is too large for a datagram; whether stderr is the journal.
//!
//! Must not know: what an entry says.
//!
//! The protocol is systemd's "Native Journal Protocol" (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};

/// The journal behind a socket. It may come, go and come back.
pub struct Journal {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Journal {
    /// The one that listens there.
    pub fn open(path: PathBuf) -> Self {
        Self { path, socket: UnixDatagram::unbound().ok() }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends the bytes of an entry; in a sealed memory file where they are too many for a datagram.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Err(io::Error::other("no socket can be made")) };
        match socket.send_to(bytes, &self.path) {
            Ok(_all) => Ok(()),
            Err(error) if [Errno::MSGSIZE, Errno::NOBUFS].contains(&errno(&error)) => self.send_file(socket, bytes),
            Err(error) => Err(error),
        }
    }

    fn send_file(&self, socket: &UnixDatagram, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::from(memfd_create("reconciled", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.write_all(bytes)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [file.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&files));
        let address = SocketAddrUnix::new(&self.path)?;
        sendmsg_addr(socket, &address, &[IoSlice::new(&[])], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Whether this file is the one that systemd connected with the journal. `stream` is what `JOURNAL_STREAM` says: device and
/// inode; another program may have passed it on to a process whose output goes elsewhere.
pub fn is_journal(stream: Option<&str>, file: impl AsFd) -> bool {
    let said = stream.and_then(|text| text.split_once(':'));
    let said = said.and_then(|(device, inode)| Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?)));
    let there = fstat(file).ok().map(|there| (there.st_dev, there.st_ino));
    said.is_some() && said == there
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Read as _, Seek as _};
    use std::time::Duration;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    #[test]
    fn an_entry_that_is_too_large_for_a_datagram_comes_as_a_sealed_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let listens = UnixDatagram::bind(&path).unwrap();
        listens.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let journal = Journal::open(path);
        let large = vec![b'x'; 4 << 20];
        journal.send(&large).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0_u8; 64];
        let took =
            recvmsg(&listens, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        assert_eq!(took.bytes, 0);
        let mut messages = control.drain();
        let Some(RecvAncillaryMessage::ScmRights(mut files)) = messages.next() else { panic!("no file came") };
        let mut file = File::from(files.next().unwrap());
        file.rewind().unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert!(content == large, "{} bytes", content.len());
        assert!(file.write_all(b"more").is_err(), "nobody changes it any more");
    }

    #[test]
    fn a_journal_that_comes_back_is_spoken_to_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(path.clone());
        assert!(journal.send(b"A=b\n").is_err());
        let mut bytes = [0; 16];
        let first = UnixDatagram::bind(&path).unwrap();
        journal.send(b"A=b\n").unwrap();
        assert_eq!(first.recv(&mut bytes).unwrap(), 4);
        drop(first);
        assert!(journal.send(b"A=c\n").is_err());
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        journal.send(b"A=d\n").unwrap();
        assert_eq!((second.recv(&mut bytes).unwrap(), &bytes[..4]), (4, b"A=d\n".as_slice()));
    }

    #[test]
    fn stderr_is_the_journal_where_device_and_inode_are_those_that_were_passed() {
        let (file, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let there = fstat(&file).unwrap();
        let stream = format!("{}:{}", there.st_dev, there.st_ino);
        assert!(is_journal(Some(&stream), &file));
        assert!(!is_journal(Some(&stream), &other), "it goes elsewhere");
        for wrong in [None, Some(""), Some("1"), Some("x:y"), Some("-1:2")] {
            assert!(!is_journal(wrong, &file), "{wrong:?}");
        }
    }
}
