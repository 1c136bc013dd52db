//! An upstream that answers JSON and wants forms.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use crate::scripted::on_loopback;
use crate::world::World;

#[derive(Default)]
struct Server {
    customers: BTreeMap<String, Value>,
    /// `POST PATH BODY`, as it came.
    sent: Vec<String>,
    keys: Vec<String>,
}

type Shared = Arc<Mutex<Server>>;

impl Server {
    fn put(&mut self, id: &str, form: &[u8]) -> Value {
        let customer = self
            .customers
            .entry(id.to_owned())
            .or_insert_with(|| json!({ "id": id, "email": null, "name": null, "address": null, "metadata": {} }));
        for (name, text) in url::form_urlencoded::parse(form) {
            let value = if text.is_empty() { Value::Null } else { json!(text) };
            match name.split_once('[') {
                Some((outer, inner)) => {
                    let inner = inner.trim_end_matches(']');
                    if customer[outer].is_null() {
                        customer[outer] = Value::Object(Map::new());
                    }
                    let members = customer[outer].as_object_mut().unwrap();
                    // An empty value takes a member away.
                    if value.is_null() {
                        members.remove(inner);
                    } else {
                        members.insert(inner.to_owned(), value);
                    }
                }
                None => customer[name.as_ref()] = value,
            }
        }
        customer.clone()
    }
}

async fn serve(
    State(server): State<Shared>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut server = server.lock().unwrap();
    let steps: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    if method == Method::POST {
        assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
        server.sent.push(format!("{} {}", uri.path(), std::str::from_utf8(&body).unwrap()));
        server.keys.extend(headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()));
    }
    let (status, answer) = match (method.as_str(), steps.as_slice()) {
        ("GET", ["customers"]) => {
            let query = query.unwrap_or_default();
            let query: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let after = query.get("starting_after").cloned().unwrap_or_default();
            let rest: Vec<&Value> =
                server.customers.iter().filter(|(id, _)| **id > after).map(|(_, one)| one).collect();
            (200, json!({ "data": rest.iter().take(2).collect::<Vec<_>>(), "has_more": rest.len() > 2 }))
        }
        ("GET", ["customers", id]) => server.customers.get(*id).map_or((404, json!({})), |one| (200, one.clone())),
        ("POST", ["customers"]) => {
            let id = format!("cus_{}", server.customers.len() + 1);
            (200, server.put(&id, &body))
        }
        ("POST", ["customers", id]) => (200, server.put(id, &body)),
        _ => (405, json!({})),
    };
    (StatusCode::from_u16(status).unwrap(), answer.to_string()).into_response()
}

#[test]
fn customers_are_kept_in_sync_both_ways_with_forms() {
    let server = Shared::default();
    for n in 1..=3 {
        server.lock().unwrap().put(&format!("cus_{n}"), format!("email={n}@x.test&name=N{n}").as_bytes());
    }
    let router = Router::new().fallback(serve).with_state(server.clone());
    let (_runtime, url) = on_loopback(router);
    let world = World::new();
    let rules = include_str!("../../sync-rules/examples/stripe/customers.toml")
        .replace("https://api.stripe.com/v1", &url)
        .replace("auth = { kind = \"bearer\", token = \"${secret.stripe_key}\" }", "");
    world.rules("rules.toml", &rules);
    let sent = || std::mem::take(&mut server.lock().unwrap().sent);
    let quiet = || {
        assert_eq!(world.sync().exits(0).writes(), (0, 0));
        assert_eq!(sent(), Vec::<String>::new());
    };
    assert_eq!(world.sync().exits(0).writes(), (0, 3));
    quiet();

    world.sql("update customers set crm_id = 'c 7', city = 'Köln & Bonn' where email = '2@x.test'");
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert_eq!(sent(), ["/customers/cus_2 address%5Bcity%5D=K%C3%B6ln+%26+Bonn&metadata%5Bcrm_id%5D=c+7"]);
    quiet();
    world.sql("update customers set crm_id = null, name = 'A+B=C' where email = '2@x.test'");
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert_eq!(sent(), ["/customers/cus_2 name=A%2BB%3DC&metadata%5Bcrm_id%5D="]);
    quiet();

    world.sql("insert into customers (email, name, crm_id) values ('new@x.test', 'Neu', 'c9')");
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert_eq!(sent(), ["/customers email=new%40x.test&name=Neu&metadata%5Bcrm_id%5D=c9"]);
    assert_eq!(server.lock().unwrap().keys.len(), 1);
    quiet();

    server.lock().unwrap().put("cus_1", b"name=Theirs&metadata[crm_id]=c1");
    assert_eq!(world.sync().exits(0).writes(), (0, 1));
    assert_eq!(world.rows("select name, crm_id from customers where email = '1@x.test'"), [["Theirs", "c1"]]);
    quiet();
}
