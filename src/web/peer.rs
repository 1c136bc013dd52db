//! Owns: who may ask over the control socket: what the kernel says of who is at the other end, and what follows from it.
//!
//! Must not know: how connections are made; what is asked.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tokio::net::UnixStream;

/// Permissions that a file gives to everybody.
const OTHERS: u32 = 0o007;
/// The user that may do everything.
const ROOT: u32 = 0;

/// Who is at the other end, as the kernel says (`SO_PEERCRED`): the effective ids of when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its first group. That of a daemon's group which it is a member of besides is not told.
    pub gid: u32,
    /// Its process, where that is known.
    pub pid: Option<i32>,
}

impl Peer {
    /// That of a connection; `None` where the kernel does not say.
    pub fn of(stream: &UnixStream) -> Option<Self> {
        let known = stream.peer_cred().ok()?;
        Some(Self { uid: known.uid(), gid: known.gid(), pid: known.pid() })
    }
}

/// The socket's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its owner: the daemon's user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
}

impl Door {
    /// As it is now. Where it cannot be looked at it is one that is open to all.
    pub fn at(path: &Path, owner: (u32, u32)) -> Self {
        match std::fs::metadata(path) {
            Ok(file) => Self { uid: file.uid(), gid: file.gid(), mode: file.mode() & 0o777 },
            Err(_gone) => Self { uid: owner.0, gid: owner.1, mode: 0o777 },
        }
    }
}

/// Whether somebody may ask. Connecting needs the right to write to the file, and the kernel looks at all groups for that; so
/// whoever comes through a door that is open to owner and group only is one of them. Through one that was opened wider come
/// others as well: of these the owner, root and whoever has the file's group as its first may ask. An error says why not.
pub fn decide_access(peer: Option<Peer>, door: Door) -> Result<(), String> {
    let Some(peer) = peer else {
        return Err("the system does not say who asks, so nothing is answered".to_owned());
    };
    let is_one_of_them = [ROOT, door.uid].contains(&peer.uid) || peer.gid == door.gid;
    if is_one_of_them || door.mode & OTHERS == 0 {
        return Ok(());
    }
    let (uid, gid) = (door.uid, door.gid);
    Err(format!(
        "user {} may not ask this daemon: user {uid}, root and members of group {gid} may; the socket is open to everybody \
         (mode {:o}), 660 is right",
        peer.uid, door.mode
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAEMON: u32 = 990;
    const GROUP: u32 = 991;
    const STRANGER: u32 = 1000;

    #[test]
    fn who_may_ask() {
        let peer = |uid, gid| Some(Peer { uid, gid, pid: Some(7) });
        let cases = [
            ("the daemon's user", peer(DAEMON, GROUP), 0o660, true),
            ("the same, in another group", peer(DAEMON, STRANGER), 0o660, true),
            ("root", peer(ROOT, ROOT), 0o660, true),
            ("a member of the group by its first", peer(STRANGER, GROUP), 0o660, true),
            ("a member by another, whom the kernel let in", peer(STRANGER, STRANGER), 0o660, true),
            ("nobody knows who", None, 0o660, false),
            ("the daemon's user, open to all", peer(DAEMON, STRANGER), 0o666, true),
            ("root, open to all", peer(ROOT, ROOT), 0o666, true),
            ("a member by its first, open to all", peer(STRANGER, GROUP), 0o666, true),
            ("a stranger, open to all", peer(STRANGER, STRANGER), 0o666, false),
            ("a stranger, open to all for writing", peer(STRANGER, STRANGER), 0o662, false),
            ("a stranger whose group has the number of the daemon's user", peer(STRANGER, DAEMON), 0o777, false),
            ("a stranger whose number is that of the group", peer(GROUP, STRANGER), 0o777, false),
            ("nobody knows who, open to all", None, 0o666, false),
        ];
        for (who, peer, mode, expected) in cases {
            let decided = decide_access(peer, Door { uid: DAEMON, gid: GROUP, mode });
            assert_eq!(decided.is_ok(), expected, "{who}: {decided:?}");
        }
        let words = decide_access(peer(STRANGER, STRANGER), Door { uid: DAEMON, gid: GROUP, mode: 0o666 }).unwrap_err();
        assert_eq!(
            words,
            "user 1000 may not ask this daemon: user 990, root and members of group 991 may; the socket is open to everybody \
             (mode 666), 660 is right"
        );
    }

    #[test]
    fn a_door_that_is_gone_is_open_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        assert_eq!(Door::at(&path, (DAEMON, GROUP)), Door { uid: DAEMON, gid: GROUP, mode: 0o777 });
        std::fs::write(&path, "").unwrap();
        let owner = std::fs::metadata(&path).unwrap().uid();
        assert_eq!(Door::at(&path, (DAEMON, GROUP)).uid, owner);
    }
}
