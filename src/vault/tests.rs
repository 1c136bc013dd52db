//! Owns: the proof that what is sealed opens only where it should, and that keys can be replaced.
//!
//! Must not know: ciphers.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::*;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A vault as one process sees it; `key` comes from elsewhere than a file.
    fn vault_with(&self, key: Option<&'static str>) -> Vault {
        let secrets = self.path("secrets");
        let folder = secrets.clone();
        let find = move |name: &str| {
            if let Some(key) = key {
                return Ok((SecretString::from(key), "environment".to_owned()));
            }
            let path = folder.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok((text.into(), format!("file {}", path.display()))),
                Err(_) => Err(format!("looked at {}", path.display())),
            }
        };
        Vault::beside(&self.path("data.db"), KeyPlaces::new(secrets, find))
    }

    fn vault(&self) -> Vault {
        self.vault_with(None)
    }

    fn words(&self, error: &VaultError) -> String {
        error.to_string().replace(&self.folder.path().display().to_string(), "DIR")
    }
}

fn at(second: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn shown(value: Option<SecretString>) -> Option<String> {
    value.map(|value| value.expose_secret().to_owned())
}

const CANARY: &str = "canary-refresh-token-7731";

#[test]
fn what_is_put_is_what_is_got_and_stands_nowhere_in_clear() {
    let bench = Bench::new();
    let vault = bench.vault();
    assert_eq!(shown(vault.get(Kind::Token, "crm").unwrap()), None, "a vault that is not there holds nothing");
    assert!(!vault.path().exists(), "and looking makes none");

    let made = vault.put(Kind::Token, "crm", &CANARY.into(), at(1)).unwrap();
    assert_eq!(made, Some(bench.path("secrets/master_key")), "the first entry makes a key");
    assert_eq!(vault.put(Kind::Secret, "crm", &"other".into(), at(2)).unwrap(), None);
    assert_eq!(shown(bench.vault().get(Kind::Token, "crm").unwrap()).as_deref(), Some(CANARY));
    assert_eq!(shown(bench.vault().get(Kind::Secret, "crm").unwrap()).as_deref(), Some("other"));
    assert_eq!(vault.entries(Kind::Token).unwrap(), [file::Entry { name: "crm".into(), changed_at: at(1) }]);

    for (file, mode) in [("data.db.vault", 0o600), ("secrets/master_key", 0o600), ("secrets", 0o700)] {
        use std::os::unix::fs::PermissionsExt as _;
        let found = std::fs::metadata(bench.path(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file}");
    }
    let bytes = std::fs::read(vault.path()).unwrap();
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));

    assert!(vault.remove(Kind::Token, "crm").unwrap());
    assert!(!vault.remove(Kind::Token, "crm").unwrap());
    assert_eq!(shown(vault.get(Kind::Token, "crm").unwrap()), None);
}

fn rows(vault: &Vault, sql: &str) {
    rusqlite::Connection::open(vault.path()).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_value_opens_only_where_it_was_sealed_and_only_unchanged() {
    let bench = Bench::new();
    let vault = bench.vault();
    vault.put(Kind::Token, "crm", &CANARY.into(), at(1)).unwrap();
    vault.put(Kind::Token, "shop", &"theirs".into(), at(1)).unwrap();
    rows(&vault, "update entries set value = (select value from entries where name = 'crm') where name = 'shop'");
    assert_eq!(
        bench.words(&vault.get(Kind::Token, "shop").unwrap_err()),
        "DIR/data.db.vault: the token `shop` cannot be opened: it was changed or copied from elsewhere; sign in again with \
         `reconciled auth login`"
    );
    rows(&vault, "update entries set kind = 'secret' where name = 'crm'");
    assert!(matches!(vault.get(Kind::Secret, "crm"), Err(VaultError::Damaged { kind: "secret", .. })));
    rows(&vault, "update entries set value = x'00' where name = 'crm'");
    assert!(matches!(vault.get(Kind::Secret, "crm"), Err(VaultError::Damaged { .. })));
    assert_eq!(shown(vault.get(Kind::Token, "nobody").unwrap()), None);
}

#[test]
fn another_key_no_key_and_what_is_no_key_are_told_apart() {
    let bench = Bench::new();
    let vault = bench.vault();
    vault.put(Kind::Secret, "key", &"value".into(), at(1)).unwrap();
    let wanted = vault.check().unwrap().unwrap();
    let other = bench.vault_with(Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    let words = bench.words(&other.get(Kind::Secret, "key").unwrap_err());
    assert!(
        words.starts_with("the master key (environment) is not the one that DIR/data.db.vault is sealed with"),
        "{words}"
    );
    assert!(words.contains(&wanted), "{words}");
    assert!(matches!(other.put(Kind::Secret, "more", &"x".into(), at(2)), Err(VaultError::WrongKey { .. })));
    assert_eq!(
        bench.words(&bench.vault_with(Some("c2hvcnQ=")).get(Kind::Secret, "key").unwrap_err()),
        "the master key (environment) is no key: it has 5 bytes and must have 32, in base64; bring the right one back, or where \
         nothing is sealed yet remove it: `reconciled key create` makes one"
    );
    let words = bench.words(&bench.vault_with(Some("canary!")).check().unwrap_err());
    assert!(!words.contains("canary"), "{words}");

    std::fs::remove_file(bench.path("secrets/master_key")).unwrap();
    let missing = format!(
        "DIR/data.db.vault is sealed, and its master key (id {wanted}) is missing: looked at DIR/secrets/master_key"
    );
    for error in [
        vault.get(Kind::Secret, "key").unwrap_err(),
        vault.put(Kind::Secret, "more", &"x".into(), at(2)).unwrap_err(),
        vault.create_key().unwrap_err(),
        vault.rotate().unwrap_err(),
    ] {
        assert_eq!(bench.words(&error), missing);
    }
    assert_eq!(vault.entries(Kind::Secret).unwrap().len(), 1, "names are seen without a key");
}

#[test]
fn a_key_that_is_there_is_used_and_never_replaced_unasked() {
    let bench = Bench::new();
    let vault = bench.vault();
    assert_eq!(vault.create_key().unwrap(), bench.path("secrets/master_key"));
    let words = bench.words(&vault.create_key().unwrap_err());
    assert_eq!(
        words,
        "DIR/secrets/master_key: there is a key already (file DIR/secrets/master_key); `reconciled key rotate` replaces it"
    );
    assert_eq!(vault.put(Kind::Secret, "a", &"b".into(), at(1)).unwrap(), None, "no second key");
}

#[test]
fn a_new_key_seals_everything_anew_and_the_old_one_opens_nothing() {
    let bench = Bench::new();
    let vault = bench.vault();
    assert!(bench.words(&vault.rotate().unwrap_err()).contains("nothing to seal anew"));
    vault.put(Kind::Token, "crm", &CANARY.into(), at(1)).unwrap();
    vault.put(Kind::Secret, "key", &"value".into(), at(2)).unwrap();
    let before = std::fs::read_to_string(bench.path("secrets/master_key")).unwrap();
    let id = vault.check().unwrap().unwrap();

    let rotated = vault.rotate().unwrap();
    assert_eq!((rotated.entries, rotated.file), (2, bench.path("secrets/master_key")));
    assert_ne!(rotated.key_id, id);
    assert_eq!(shown(vault.get(Kind::Token, "crm").unwrap()).as_deref(), Some(CANARY));
    assert_eq!(shown(vault.get(Kind::Secret, "key").unwrap()).as_deref(), Some("value"));
    assert_eq!(vault.entries(Kind::Token).unwrap()[0].changed_at, at(1), "a new seal is no change");
    assert!(!bench.path("secrets/master_key.next").exists());

    std::fs::write(bench.path("secrets/master_key"), before).unwrap();
    assert!(matches!(vault.get(Kind::Token, "crm"), Err(VaultError::WrongKey { .. })));
    let elsewhere = bench.vault_with(Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    assert!(elsewhere.rotate().is_err());
}

/// As a crash leaves it: `committed` says whether the transaction was over.
fn interrupted(committed: bool) {
    let bench = Bench::new();
    let vault = bench.vault();
    vault.put(Kind::Token, "crm", &CANARY.into(), at(1)).unwrap();
    let (key, next) = (bench.path("secrets/master_key"), bench.path("secrets/master_key.next"));
    let old = std::fs::read(&key).unwrap();
    if committed {
        vault.rotate().unwrap();
        std::fs::rename(&key, &next).unwrap();
        std::fs::write(&key, &old).unwrap();
    } else {
        std::fs::write(&next, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    }
    assert_eq!(shown(bench.vault().get(Kind::Token, "crm").unwrap()).as_deref(), Some(CANARY));
    assert_eq!(std::fs::read(&key).unwrap() == old, !committed, "the key that fits is in its place");
    bench.vault().rotate().unwrap();
    assert_eq!(shown(vault.get(Kind::Token, "crm").unwrap()).as_deref(), Some(CANARY));
    assert!(!next.exists());
}

#[test]
fn a_rotation_that_was_killed_leaves_a_key_that_fits() {
    interrupted(true);
    interrupted(false);
}

#[test]
fn one_process_at_a_time_holds_a_name() {
    let bench = Bench::new();
    let (vault, other) = (bench.vault(), bench.vault());
    let guard = vault.try_lock("crm").unwrap().unwrap();
    assert!(other.try_lock("crm").unwrap().is_none());
    assert!(other.try_lock("shop").unwrap().is_some(), "another name");
    drop(guard);
    assert!(other.try_lock("crm").unwrap().is_some());
}

#[test]
fn every_change_of_anybody_is_seen_without_a_key() {
    let bench = Bench::new();
    let vault = bench.vault();
    assert_eq!(vault.stamp(), None);
    let mut seen = Vec::new();
    let changes: [&dyn Fn(&Vault); 4] = [
        &|vault| drop(vault.put(Kind::Token, "crm", &CANARY.into(), at(1)).unwrap()),
        &|vault| drop(vault.put(Kind::Token, "crm", &CANARY.into(), at(1)).unwrap()),
        &|vault| drop(vault.rotate().unwrap()),
        &|vault| assert!(vault.remove(Kind::Token, "crm").unwrap()),
    ];
    for change in changes {
        change(&bench.vault());
        seen.push(vault.stamp());
        vault.get(Kind::Token, "crm").unwrap();
        assert_eq!(vault.stamp(), *seen.last().unwrap(), "looking changes nothing");
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((distinct.len(), seen.contains(&None)), (4, false), "{seen:?}");
}

#[test]
fn a_new_key_waits_for_a_renewal_that_is_under_way() {
    let bench = Bench::new();
    let vault = bench.vault();
    vault.put(Kind::Token, "crm", &CANARY.into(), at(1)).unwrap();
    let id = vault.check().unwrap();
    let renews = vault.try_lock("crm").unwrap().unwrap();
    let (other, (said, told)) = (bench.vault(), std::sync::mpsc::channel());
    let rotates = std::thread::spawn(move || said.send(other.rotate().unwrap()).unwrap());
    vault.put(Kind::Token, "crm", &"renewed".into(), at(2)).unwrap();
    assert!((vault.check().unwrap() == id) && told.try_recv().is_err());
    drop(renews);
    rotates.join().unwrap();
    assert_ne!(vault.check().unwrap(), id);
    assert_eq!(shown(vault.get(Kind::Token, "crm").unwrap()).as_deref(), Some("renewed"));
}

#[test]
fn keys_are_replaced_while_others_read_and_write() {
    let bench = Bench::new();
    bench.vault().put(Kind::Token, "crm", &CANARY.into(), at(1)).unwrap();
    let over = &std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let vault = bench.vault();
            scope.spawn(move || {
                // Who only writes leaves others no turn for as long as a lock is waited for: SQLite has no queue.
                for number in 0_u64.. {
                    if over.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    assert_eq!(shown(vault.get(Kind::Token, "crm").unwrap()).as_deref(), Some(CANARY));
                    if number % 16 == 0 {
                        vault.put(Kind::Secret, "key", &"value".into(), at(2)).unwrap();
                    }
                }
            });
        }
        let rotated: Vec<_> = (0..5).map(|_| bench.vault().rotate()).collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        for one in rotated {
            one.unwrap();
        }
    });
}

#[test]
fn what_cannot_be_written_now_can_be_read() {
    let bench = Bench::new();
    bench.vault().put(Kind::Token, "crm", &CANARY.into(), at(1)).unwrap();
    let mut other = rusqlite::Connection::open(bench.vault().path()).unwrap();
    let writes = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    assert_eq!(shown(bench.vault().get(Kind::Token, "crm").unwrap()).as_deref(), Some(CANARY));
    assert!(bench.vault().check().unwrap().is_some());
    drop(writes);
}
