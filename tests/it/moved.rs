//! Records that are read and written below their parents only, under ids that they keep when they move to another parent: that one is not
//! found where it was does not say that it is gone.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::scripted::{self, Asked, Scripted, answer, answered_by};

const RULES: &str = r#"
[upstream.board]
base_url = "${var.board_url}"
retry = { attempts = 1 }
concurrency = 1

[collection.boards]
every = "1h"
fields = { name = "text" }

[binding.boards.board]
direction = "pull"
id = ".id"
map = { name = ".id" }
read = { request = "GET /boards", records = ".[]" }

[collection.cards]
every = "1h"
update_vs_delete = "delete_wins"
fields = { board = { type = "ref", to = "boards" }, name = "text" }

[binding.cards.board]
id = ".id"
map = { board = ".board_id", name = ".name" }

[binding.cards.board.read]
request = "GET /boards/{parent}/cards"
records = ".[]"
get = "GET /boards/{parent}/cards/{id}"
parent = { collection = "boards", as = "board_id" }

[binding.cards.board.write]
create = { request = "POST /boards/{parent}/cards", idempotency = { match = "name" } }
update = { request = "PATCH /boards/{parent}/cards/{id}" }
delete = { request = "DELETE /boards/{parent}/cards/{id}" }
"#;

#[derive(Default)]
struct Server {
    boards: BTreeSet<String>,
    /// With its board, which is not shown.
    cards: BTreeMap<String, (String, Value)>,
    asked: Vec<String>,
    /// This one goes there once all was listed.
    moves: Option<(&'static str, &'static str)>,
    /// The answer to the next write is lost.
    loses: bool,
}

type Shared = scripted::Shared<Server>;

impl Server {
    fn put(&mut self, id: &str, board: &str) {
        let new = || (String::new(), json!({ "id": id, "name": id }));
        board.clone_into(&mut self.cards.entry(id.to_owned()).or_insert_with(new).0);
    }

    fn answered(&mut self, status: u16, done: &Value) -> Response {
        let status = if std::mem::take(&mut self.loses) { 504 } else { status };
        answer(status, done)
    }

    fn writes(&mut self) -> Vec<String> {
        let asked = std::mem::take(&mut self.asked);
        asked.into_iter().filter(|line| !line.starts_with("GET")).collect()
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    let (method, path) = asked.below("/boards");
    server.asked.push(format!("{method} {}", path.join("/")));
    let nothing = json!({ "message": "nothing here" });
    match (method, path.as_slice()) {
        ("GET", []) => answer(200, &server.boards.iter().map(|id| json!({ "id": id })).collect()),
        ("GET", [board, "cards"]) => {
            let here = server.cards.values().filter(|(on, _)| on == board);
            let shown: Value = here.map(|(_, card)| card.clone()).collect();
            if server.boards.last().is_some_and(|last| last == board)
                && let Some((id, board)) = server.moves.take()
            {
                server.put(id, board);
            }
            answer(200, &shown)
        }
        ("POST", [board, "cards"]) => {
            let name = asked.json().unwrap()["name"].as_str().unwrap().to_owned();
            server.put(&name, board);
            let made = server.cards[&name].1.clone();
            server.answered(201, &made)
        }
        (method, [board, "cards", id]) if server.cards.get(*id).is_some_and(|(on, _)| on == board) => {
            match (method, asked.json()) {
                ("PATCH", Some(body)) => {
                    if let Some(name) = body.get("name") {
                        server.cards.get_mut(*id).unwrap().1["name"] = name.clone();
                    }
                    if let Some(board) = body.get("board_id") {
                        server.put(id, board.as_str().unwrap());
                    }
                }
                ("DELETE", _) => {
                    server.cards.remove(*id);
                    return server.answered(204, &Value::Null);
                }
                _ => {}
            }
            let card = server.cards[*id].1.clone();
            if method == "GET" { answer(200, &card) } else { server.answered(200, &card) }
        }
        _ => answer(404, &nothing),
    }
}

fn stage() -> (Shared, Scripted) {
    let (server, scripted) = fresh();
    scripted.sync().exits(0);
    server.look().asked.clear();
    (server, scripted)
}

/// Nothing was synchronised yet.
fn fresh() -> (Shared, Scripted) {
    let server = Shared::default();
    for (id, board) in [("c1", "a"), ("c2", "a"), ("c3", "b")] {
        server.look().boards.insert(board.to_owned());
        server.look().put(id, board);
    }
    (server.clone(), Scripted::new("board", answered_by(server, serve), RULES))
}

/// Cards with their boards.
fn rows(scripted: &Scripted) -> Vec<String> {
    let sql = "select c.name || ' ' || b.name from cards c join boards b on b.id = c.board order by 1";
    scripted.world.rows(sql).concat()
}

fn aside(scripted: &Scripted) -> Vec<String> {
    scripted.world.rows("select reason from sync_quarantine").concat()
}

const LEFT: &str = "c1 is not found under a, where it was last seen: it is gone, or under another parent, and the next listing that shows it tells";

#[test]
fn a_record_that_moved_is_written_where_it_is_now() {
    let (server, scripted) = stage();
    server.look().put("c1", "b");
    scripted.world.sql("update cards set name = 'C1' where name = 'c1'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 1));
    assert_eq!(server.look().writes(), ["PATCH b/cards/c1"]);
    assert_eq!(rows(&scripted), ["C1 b", "c2 a", "c3 b"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn an_edit_of_a_record_that_moved_is_no_delete_and_takes_a_listing() {
    let (server, scripted) = fresh();
    let mut daemon = Daemon::of(scripted.command(&["run"]));
    daemon.logs("pass 2 of cards");
    server.look().put("c2", "b");
    server.look().asked.clear();
    scripted.world.sql("update cards set name = 'C2' where name = 'c2'");
    daemon.logs("pass 3 of cards");
    assert_eq!(daemon.stops().0, Some(0));
    let asked = std::mem::take(&mut server.look().asked);
    assert_eq!(asked[0], "GET a/cards/c2", "{asked:?}");
    assert!(asked.contains(&"PATCH b/cards/c2".to_owned()), "{asked:?}");
    assert_eq!(rows(&scripted), ["C2 b", "c1 a", "c3 b"]);
}

#[test]
fn a_record_that_moves_during_a_pass_is_not_taken_for_gone_and_its_edit_waits_for_it() {
    let (server, scripted) = stage();
    server.look().moves = Some(("c1", "b"));
    scripted.world.sql("update cards set name = 'C1' where name = 'c1'");
    assert_ne!(scripted.sync().code, 0);
    assert_eq!(server.look().writes(), [""; 0], "looked for before the write, and not found");
    assert_eq!(aside(&scripted), [LEFT]);
    assert_eq!(rows(&scripted), ["C1 a", "c2 a", "c3 b"]);
    assert_eq!(scripted.sync().exits(0).writes(), (1, 1));
    assert_eq!(server.look().writes(), ["PATCH b/cards/c1"]);
    assert_eq!((rows(&scripted), aside(&scripted)), (vec!["C1 b".into(), "c2 a".into(), "c3 b".into()], vec![]));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_delete_that_finds_nothing_where_the_record_was_is_not_done() {
    let (server, scripted) = stage();
    server.look().moves = Some(("c1", "b"));
    scripted.world.sql("delete from cards where name = 'c1'");
    assert_ne!(scripted.sync().code, 0);
    assert_eq!(aside(&scripted), [LEFT]);
    scripted.sync();
    assert!(!server.look().cards.contains_key("c1"), "deleted where it is now");
    assert_eq!((rows(&scripted), aside(&scripted)), (vec!["c2 a".into(), "c3 b".into()], vec![]));

    // One whose answer was lost is done: no board shows it any more, either.
    server.look().loses = true;
    scripted.world.sql("delete from cards where name = 'c2'");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!((server.look().cards.len(), rows(&scripted)), (1, vec!["c3 b".into()]));
    assert_eq!(aside(&scripted), [""; 0]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_record_that_is_moved_here_is_asked_for_where_it_is_until_it_is_there() {
    let (server, scripted) = stage();
    let world = &scripted.world;
    world.sql("update cards set board = (select id from boards where name = 'b'), name = 'C1' where name = 'c1'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(std::mem::take(&mut server.look().asked)[3..], ["GET a/cards/c1", "PATCH a/cards/c1", "GET b/cards/c1"]);
    world.sql("update cards set name = 'C' where name = 'C1'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().writes(), ["PATCH b/cards/c1"]);
    assert_eq!(rows(&scripted), ["C b", "c2 a", "c3 b"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    // What was made here is known to be where it was made; by a write whose answer was lost, too.
    world.sql("insert into cards (name, board) select 'c4', id from boards where name = 'a'");
    scripted.sync().exits(0);
    server.look().loses = true;
    world.sql("update cards set name = 'C4' where name = 'c4'");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(server.look().writes(), ["POST a/cards", "PATCH a/cards/c4"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    let shown = |id: &str| scripted.run(&["fetch", "cards", "--id", id]);
    assert!(shown("a/c4").exits(0).stdout.contains("C4"));
    assert!(shown("b/c4").exits(1).stderr.contains("c4 is not found under b"));
}
