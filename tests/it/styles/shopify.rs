//! Shopify: GraphQL by cursor, a search whose time is in its text, and 200 for everything: a limit, an error, a refusal.

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment};

#[derive(Default)]
struct Server {
    customers: Dated,
    asked: Vec<String>,
    /// The next request of this name finds the bucket empty.
    throttles: &'static str,
}

type Shared = scripted::Shared<Server>;

const BUCKET: u32 = 2000;

fn id_of(n: impl std::fmt::Display) -> String {
    format!("gid://shopify/Customer/{n}")
}

/// What a query costs and what is left goes with every answer.
fn costs(mut body: Value, requested: u32, left: u32) -> Response {
    let actual = if body["errors"].is_null() { json!(requested / 2) } else { Value::Null };
    let status = json!({ "maximumAvailable": BUCKET, "currentlyAvailable": left, "restoreRate": 100 });
    body["extensions"] =
        json!({ "cost": { "requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": status } });
    answer(200, &body)
}

fn error(code: &str) -> Value {
    json!({ "errors": [{ "message": code, "extensions": { "code": code } }] })
}

fn user_error(mutation: &str, field: &str, message: &str) -> Value {
    json!({ "data": { mutation: { "customer": null, "userErrors": [{ "field": [field], "message": message }] } } })
}

impl Server {
    fn set(&mut self, id: &str, input: &Value) -> Value {
        let new = json!({ "id": id, "createdAt": moment(0), "firstName": null, "lastName": null, "note": null, "defaultEmailAddress": null });
        self.customers.set(id, new, |customer, change| {
            for (name, value) in input.as_object().unwrap() {
                match name.as_str() {
                    "id" => {}
                    "email" if value.is_null() => customer["defaultEmailAddress"] = Value::Null,
                    "email" => customer["defaultEmailAddress"] = json!({ "emailAddress": value }),
                    _ => customer[name] = value.clone(),
                }
            }
            customer["updatedAt"] = json!(moment(change));
        })
    }

    fn field(&self, id: &str, name: &str) -> Value {
        self.customers.get(&id_of(id)).unwrap()[name].clone()
    }

    fn address(&self, id: &str) -> Value {
        self.field(id, "defaultEmailAddress")["emailAddress"].clone()
    }

    /// Two a page, by the time of change.
    fn list(&self, variables: &Value) -> Value {
        let search = variables["query"].as_str().unwrap_or_default();
        let since = search.strip_prefix("updated_at:>='").and_then(|rest| rest.strip_suffix('\''));
        assert_eq!(since.is_none(), search.is_empty(), "{search}");
        let since = since.map(|since| chrono::DateTime::parse_from_rfc3339(since).unwrap());
        let mut found: Vec<Value> = self.customers.records.values().filter_map(|(_, one)| one.clone()).collect();
        let at = |one: &Value| chrono::DateTime::parse_from_rfc3339(one["updatedAt"].as_str().unwrap()).unwrap();
        found.retain(|one| since.is_none_or(|since| at(one) >= since));
        found.sort_by_key(at);
        let from =
            variables["after"].as_str().map_or(0, |cursor| cursor.strip_prefix("after").unwrap().parse().unwrap());
        let (nodes, next) = Asked::page(&found, from, 2);
        // There is a last cursor even where nothing follows.
        let end = format!("after{}", from + nodes.len());
        json!({ "nodes": nodes, "pageInfo": { "hasNextPage": next.is_some(), "endCursor": end } })
    }

    fn write(&mut self, mutation: &str, input: &Value) -> Value {
        let known = ["id", "email", "firstName", "lastName", "note"];
        if let Some(name) = input.as_object().unwrap().keys().find(|name| !known.contains(&name.as_str())) {
            return json!({ "errors": [{ "message": format!("Field is not defined on CustomerInput: {name}"), "extensions": { "code": "INVALID_VARIABLE" } }] });
        }
        let id = input["id"].as_str().map_or_else(|| id_of(format!("9{}", self.customers.change)), str::to_owned);
        if (mutation == "customerUpdate") != self.customers.get(&id).is_some() {
            return user_error(mutation, "id", "Customer does not exist");
        }
        if input["email"].as_str().is_some_and(|email| !email.contains('@')) {
            return user_error(mutation, "email", "Email is invalid");
        }
        let taken = |(other, (_, one)): (&String, &(usize, Option<Value>))| {
            *other != id && one.as_ref().is_some_and(|one| one["defaultEmailAddress"]["emailAddress"] == input["email"])
        };
        if input["email"].is_string() && self.customers.records.iter().any(taken) {
            return user_error(mutation, "email", "Email has already been taken");
        }
        json!({ "data": { mutation: { "customer": self.set(&id, input), "userErrors": [] } } })
    }

    fn delete(&mut self, id: &str) -> Value {
        if self.customers.get(id).is_none() {
            return user_error("customerDelete", "id", "Customer can't be found");
        }
        self.customers.remove(id);
        json!({ "data": { "customerDelete": { "deletedCustomerId": id, "userErrors": [] } } })
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if asked.header("x-shopify-access-token") != "a-secret-of-tests" {
        return answer(
            401,
            &json!({ "errors": "[API] Invalid API key or access token (unrecognized login or wrong password)" }),
        );
    }
    let (Some(body), ("POST", ["graphql.json"])) = (asked.json(), (asked.below("").0, asked.below("").1.as_slice()))
    else {
        return answer(400, &json!({ "errors": { "query": "Required parameter missing or invalid" } }));
    };
    let (query, variables) = (body["query"].as_str().unwrap(), &body["variables"]);
    // A variable that the query does not declare is no variable.
    for name in variables.as_object().into_iter().flat_map(|all| all.keys()) {
        assert!(query.contains(&format!("${name}:")), "{name} in {query}");
    }
    let fields = ["customers", "customerCreate", "customerUpdate", "customerDelete", "customer"];
    let field = fields.into_iter().find(|name| query.contains(&format!(" {name}("))).unwrap();
    let of = variables["query"].as_str().map(|search| format!(" {search}")).unwrap_or_default();
    server.asked.push(format!("{field}{of}"));
    if std::mem::take(&mut server.throttles) == field {
        return costs(error("THROTTLED"), 100, 20);
    }
    let body = match field {
        "customers" => json!({ "data": { "customers": server.list(variables) } }),
        "customer" => json!({ "data": { "customer": server.customers.get(variables["id"].as_str().unwrap()) } }),
        "customerDelete" => server.delete(variables["input"]["id"].as_str().unwrap()),
        _ => server.write(field, &variables["input"]),
    };
    costs(body, 100, BUCKET - 50)
}

fn stage(customers: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=customers {
        let email = format!("p{n}@x.io");
        server.look().set(&id_of(n), &json!({ "email": email, "firstName": format!("Ann {n}") }));
    }
    let rules = include_str!("../../../sync-rules/examples/shopify/customers.toml");
    (server.clone(), Scripted::new("shopify", answered_by(server, serve), rules))
}

#[test]
fn customers_are_searched_since_the_last_pass_and_written_by_mutations() {
    let (server, scripted) = stage(5);
    let asked = || std::mem::take(&mut server.look().asked);
    let names = || scripted.world.rows("select first_name from customers order by first_name").concat();
    assert_eq!(scripted.sync().exits(0).writes(), (0, 5));
    assert_eq!(asked(), ["customers"; 3]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    assert_eq!(asked()[0], "customers updated_at:>='2025-12-31T23:58:05Z'");

    server.look().set(&id_of(1), &json!({ "firstName": "Bob" }));
    server.look().customers.remove(&id_of(2));
    server.look().set(&id_of(6), &json!({ "firstName": "Cyd", "email": "cyd@x.io" }));
    scripted.world.sql("update customers set note = 'vip' where first_name = 'Ann 3'");
    scripted.world.sql("delete from customers where first_name = 'Ann 4'");
    scripted.world.sql("insert into customers (first_name, email) values ('Dan', 'dan@x.io')");
    assert_eq!(scripted.full_sync().exits(0).writes(), (3, 3));
    assert_eq!(names(), ["Ann 3", "Ann 5", "Bob", "Cyd", "Dan"]);
    assert_eq!(server.look().field("3", "note"), "vip");
    assert!(server.look().customers.get(&id_of(4)).is_none());
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn a_limit_that_is_answered_with_200_is_waited_for_and_shows_no_empty_listing() {
    let (server, scripted) = stage(3);
    scripted.sync().exits(0);
    server.look().asked.clear();
    server.look().throttles = "customers";
    assert_eq!(scripted.full_sync().exits(0).writes(), (0, 0));
    assert_eq!(server.look().asked, ["customers"; 3], "the page that was refused is asked for again");
    assert_eq!(scripted.world.rows("select count(*) from customers"), [["3"]]);

    server.look().throttles = "customerUpdate";
    scripted.world.sql("update customers set note = 'vip' where first_name = 'Ann 3'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0), "nothing was done, so it is sent again");
    assert_eq!(server.look().field("3", "note"), "vip");
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn what_a_mutation_refuses_with_200_is_set_aside_and_not_taken_for_done() {
    let (server, scripted) = stage(3);
    scripted.sync().exits(0);
    scripted.world.sql("update customers set email = 'nowhere' where first_name = 'Ann 1'");
    scripted.world.sql("update customers set note = 'vip' where first_name = 'Ann 3'");
    assert_ne!(scripted.sync().code, 0, "one is refused");
    let status = scripted.run(&["--json", "status"]);
    assert!(status.stdout.contains("Email is invalid"), "{status:?}");
    assert_eq!(server.look().address("1"), "p1@x.io");
    assert_eq!(server.look().field("3", "note"), "vip");
    scripted.world.sql("update customers set email = 'p11@x.io' where first_name = 'Ann 1'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));

    // Gone there and here: the error names the id, and that is no refusal.
    server.look().customers.remove(&id_of(3));
    scripted.world.sql("delete from customers where first_name = 'Ann 3'");
    scripted.full_sync().exits(0);
    assert_eq!(scripted.world.rows("select count(*) from customers"), [["2"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn an_address_goes_from_one_customer_to_another_once_it_was_given_up() {
    let (server, scripted) = stage(2);
    scripted.sync().exits(0);
    scripted.world.sql("update customers set email = 'p2@x.io' where first_name = 'Ann 1'");
    assert_ne!(scripted.sync().code, 0, "it is taken");
    assert_eq!(server.look().address("1"), "p1@x.io");
    scripted.world.sql("update customers set email = 'other@x.io' where first_name = 'Ann 2'");
    scripted.sync();
    scripted.sync().exits(0);
    assert_eq!(["1", "2"].map(|id| server.look().address(id)), ["p2@x.io", "other@x.io"]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
