//! Shopify in bulk: an operation that makes a file of JSON Lines at somebody else's address, or none where there is nothing.

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

#[derive(Default)]
struct Server {
    products: Dated,
    /// The headers of each request for a file that show the token.
    files: Vec<usize>,
    /// How often operations were asked for, and how often in all the last one was asked about.
    begun: usize,
    asked: usize,
    fails: bool,
}

type Shared = scripted::Shared<Server>;

fn id_of(n: usize) -> String {
    format!("gid://shopify/Product/{n}")
}

impl Server {
    fn set(&mut self, id: &str, changes: &Value) -> Value {
        let new = json!({ "id": id, "title": null, "vendor": null });
        self.products.set(id, new, |product, change| {
            for (name, value) in changes.as_object().unwrap() {
                product[name] = value.clone();
            }
            product["updatedAt"] = json!(moment(change));
        })
    }

    fn lines(&self) -> String {
        let products = self.products.records.values().filter_map(|(_, product)| product.as_ref());
        let lines: Vec<String> = products.map(|product| format!("{product}\n")).collect();
        lines.concat()
    }

    /// Files are somebody else's: the same address under another name.
    fn status(&mut self, asked: &Asked) -> Value {
        let port = asked.header("host").rsplit_once(':').unwrap().1;
        self.asked += 1;
        let lines = self.lines();
        let (status, url) = match (self.asked, self.fails) {
            (..=2, _) => ("RUNNING", Value::Null),
            (_, true) => ("FAILED", Value::Null),
            (_, false) if lines.is_empty() => ("COMPLETED", Value::Null),
            (_, false) => ("COMPLETED", json!(format!("http://localhost:{port}/bulk/file.jsonl?signature=s3cr3t"))),
        };
        json!({ "data": { "node": { "status": status, "errorCode": null, "url": url } } })
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if asked.path == ["bulk", "file.jsonl"] {
        assert_eq!(asked.query["signature"], "s3cr3t");
        let shows = asked.headers.values().filter(|value| value.to_str().unwrap().contains("a-secret-of-tests"));
        let shown = shows.count();
        server.files.push(shown);
        return ([("content-type", "application/jsonl")], server.lines()).into_response();
    }
    assert_eq!(asked.header("x-shopify-access-token"), "a-secret-of-tests");
    let body = asked.json().unwrap();
    let (query, variables) = (body["query"].as_str().unwrap().trim(), &body["variables"]);
    let answered = if query.starts_with("mutation {")
        && query.contains("bulkOperationRunQuery(query: \"\"\"{ products {")
    {
        (server.begun, server.asked) = (server.begun + 1, 0);
        let operation = json!({ "id": format!("gid://shopify/BulkOperation/{}", server.begun), "status": "CREATED" });
        json!({ "data": { "bulkOperationRunQuery": { "bulkOperation": operation, "userErrors": [] } } })
    } else if query.contains("node(id: $id)") {
        assert_eq!(variables["id"], format!("gid://shopify/BulkOperation/{}", server.begun));
        server.status(asked)
    } else if query.contains("product(id: $id)") {
        json!({ "data": { "product": server.products.get(variables["id"].as_str().unwrap()) } })
    } else {
        let mut input = variables["input"].clone();
        let id = input.as_object_mut().unwrap().remove("id").unwrap();
        let product = server.set(id.as_str().unwrap(), &input);
        json!({ "data": { "productUpdate": { "product": product, "userErrors": [] } } })
    };
    answer(200, &answered)
}

fn stage(products: usize, may_ask: bool) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=products {
        server.look().set(&id_of(n), &json!({ "title": format!("Thing {n}"), "vendor": "X" }));
    }
    let mut rules = include_str!("../../../sync-rules/examples/shopify_bulk/products.toml")
        .replace("every = \"10s\"\ntimeout = \"1h\"", "every = \"10ms\"\ntimeout = \"5m\"");
    if may_ask {
        rules = rules.replace("storage.googleapis.com", "localhost");
    }
    (server.clone(), Scripted::new("shopify", answered_by(server, serve), &rules))
}

fn titles(scripted: &Scripted) -> Vec<String> {
    scripted.world.rows("select title from products order by title").concat()
}

#[test]
fn a_file_at_another_host_is_read_without_credentials_and_what_is_not_in_it_is_gone() {
    let (server, scripted) = stage(12, true);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 12));
    assert_eq!(server.look().files, [0], "no token goes to somebody else");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    server.look().products.remove(&id_of(1));
    server.look().set(&id_of(2), &json!({ "title": "Other" }));
    scripted.world.sql("update products set vendor = 'Y' where title = 'Thing 3'");
    scripted.sync().exits(0);
    assert_eq!((titles(&scripted).len(), titles(&scripted)[0].clone()), (11, "Other".to_owned()));
    assert_eq!(server.look().products.get(&id_of(3)).unwrap()["vendor"], "Y");
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
    let database = std::fs::read(scripted.world.database()).unwrap();
    assert!(!database.windows(6).any(|text| text == b"s3cr3t"), "an address that opens the file is not kept");
}

#[test]
fn an_operation_that_failed_deletes_nothing_and_one_that_found_nothing_asks_a_person() {
    let (server, scripted) = stage(12, true);
    scripted.sync().exits(0);
    server.look().fails = true;
    let said = scripted.sync().cannot_read("products");
    assert!(said.contains("the job failed"), "{said}");
    assert_eq!(titles(&scripted).len(), 12);

    server.look().fails = false;
    for n in 1..=12 {
        server.look().products.remove(&id_of(n));
    }
    scripted.sync().exits(5);
    assert_eq!(titles(&scripted).len(), 12, "an empty listing halts");
}

#[test]
fn a_file_at_a_host_that_is_not_allowed_is_not_asked_for() {
    let (server, scripted) = stage(3, false);
    let said = scripted.sync().cannot_read("products");
    assert!(said.contains("is not in allowed_hosts of upstream shopify"), "{said}");
    assert_eq!(server.look().files, [0; 0]);
}
