//! Owns: the name by which a Unix socket is bound and connected to: the kernel takes short ones only, wherever the file is.
//!
//! Must not know: who listens, who asks.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// The longest name, in bytes: `sun_path` of unix(7), without the zero at its end.
const BYTES_MAX: usize = 107;

/// A name that is short enough, for as long as this lives.
#[derive(Debug)]
pub struct Reach {
    name: PathBuf,
    /// The folder, by which a long path becomes a short name.
    _folder: Option<OwnedFd>,
}

impl Reach {
    /// Of the socket at this path. An error where its folder is not there, or its own name is too long already.
    pub fn of(path: &Path) -> Result<Self> {
        if path.as_os_str().len() <= BYTES_MAX {
            return Ok(Self { name: path.to_owned(), _folder: None });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let name = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
        let name = name.join(path.file_name().unwrap_or_default());
        if name.as_os_str().len() > BYTES_MAX {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "its name is too long for a socket: give the file a shorter one",
            ));
        }
        Ok(Self { name, _folder: Some(folder) })
    }

    /// The name.
    pub fn name(&self) -> &Path {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_socket_is_reached_however_long_its_path_is_and_its_own_name_may_not_be() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(200)).join("y".repeat(200));
        std::fs::create_dir_all(&deep).unwrap();
        for path in [folder.path().join("a.sock"), deep.join("a.sock"), deep.join("n".repeat(80))] {
            let reach = Reach::of(&path).unwrap();
            let _listener = UnixListener::bind(reach.name()).unwrap();
            assert!(path.exists());
            drop(reach);
            UnixStream::connect(Reach::of(&path).unwrap().name()).unwrap();
        }
        let words = Reach::of(&deep.join("n".repeat(108))).unwrap_err();
        assert_eq!(words.kind(), ErrorKind::InvalidInput);
        let nowhere = Reach::of(&deep.join("nowhere").join("a.sock")).unwrap_err();
        assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    }
}
