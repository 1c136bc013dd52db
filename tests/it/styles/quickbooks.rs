//! `QuickBooks`: queries that have the moment and the place of the page in their text, a `SyncToken` in each body, faults of 400 that
//! mean that a record is gone or was changed meanwhile, creates told by `requestid`, thirty updates a request, no delete for customers.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{self, Asked, Dated, Scripted, answer, answered_by, moment, with_bearer};

#[derive(Default)]
struct Server {
    customers: Dated,
    payments: Dated,
    /// What was answered to a create, by its request id.
    requests: BTreeMap<String, Value>,
    asked: Vec<String>,
    /// The answer to the next create is lost.
    loses: bool,
}

type Shared = scripted::Shared<Server>;

fn fault(code: &str, message: &str) -> Value {
    json!({ "Fault": { "Error": [{ "Message": message, "Detail": message, "code": code }], "type": "ValidationFault" } })
}

/// A query's words: what it selects, since when, from which row, how many.
struct Query {
    entity: String,
    since: Option<String>,
    inactive: bool,
    from: usize,
    size: usize,
}

impl Query {
    fn of(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("select * from ")?;
        let (entity, rest) = rest.split_once(' ')?;
        let (condition, rest) = match rest.strip_prefix("where ") {
            Some(rest) => rest.split_once(" orderby Id ")?,
            None => ("", rest.strip_prefix("orderby Id ")?),
        };
        let (from, size) = rest.strip_prefix("startposition ")?.split_once(" maxresults ")?;
        let mut query = Self {
            entity: entity.to_owned(),
            since: None,
            inactive: false,
            from: from.parse().ok().filter(|from| *from > 0)?,
            size: size.parse().ok().filter(|size| *size <= 1000)?,
        };
        for one in condition.split(" and ").filter(|one| !one.is_empty()) {
            match one.strip_prefix("MetaData.LastUpdatedTime >= '") {
                Some(since) => query.since = Some(since.strip_suffix('\'')?.to_owned()),
                None if one == "Active in (true, false)" => query.inactive = true,
                None => return None,
            }
        }
        Some(query)
    }
}

impl Server {
    fn of(&mut self, entity: &str) -> &mut Dated {
        if entity == "Customer" { &mut self.customers } else { &mut self.payments }
    }

    /// Changes a record as somebody at the web page does.
    fn set(&mut self, entity: &str, id: &str, changes: &Value) -> Value {
        let mut new = json!({ "Id": id, "SyncToken": "-1", "domain": "QBO", "sparse": false });
        if entity == "Customer" {
            new["Active"] = json!(true);
        }
        self.of(entity).set(id, new, |record, change| {
            let token: i64 = record["SyncToken"].as_str().unwrap().parse().unwrap();
            let record = record.as_object_mut().unwrap();
            record.extend(changes.as_object().unwrap().clone());
            record.insert("SyncToken".to_owned(), json!((token + 1).to_string()));
            record.insert("sparse".to_owned(), json!(false));
            record.insert("MetaData".to_owned(), json!({ "LastUpdatedTime": moment(change) }));
            record.retain(|_, value| !value.is_null());
        })
    }

    fn query(&mut self, text: &str) -> Response {
        let Some(query) = Query::of(text) else {
            return answer(400, &fault("4000", &format!("Error parsing query: {text}")));
        };
        self.asked.push(format!("{} from {} since {:?}", query.entity, query.from, query.since));
        let records = self.of(&query.entity).records.values();
        let mut found: Vec<Value> = records.filter_map(|(_, record)| record.clone()).collect();
        found.retain(|record| {
            let at = record["MetaData"]["LastUpdatedTime"].as_str().unwrap();
            query.since.as_deref().is_none_or(|since| at >= since) && (query.inactive || record["Active"] != false)
        });
        let (page, _) = Asked::page(&found, query.from - 1, query.size);
        // An empty answer has no member for what was asked.
        let mut response = json!({});
        if !page.is_empty() {
            response = json!({ "startPosition": query.from, "maxResults": page.len() });
            response[&query.entity] = json!(page);
        }
        answer(200, &json!({ "QueryResponse": response, "time": "2026-01-01T00:00:00.000-08:00" }))
    }

    fn is_taken(&self, body: &Value) -> bool {
        let mut all = self.customers.records.values().filter_map(|(_, one)| one.as_ref());
        body["DisplayName"].is_string()
            && all.any(|one| one["DisplayName"] == body["DisplayName"] && one["Id"] != body["Id"])
    }

    /// A create, an update or a delete: which of them, the body says.
    fn write(&mut self, entity: &str, body: &Value, deletes: bool) -> Result<Value, Value> {
        if entity == "Customer" && self.is_taken(body) {
            return Err(fault("6240", "Duplicate Name Exists Error"));
        }
        if body["PrimaryEmailAddr"]["Address"] == "nowhere" {
            return Err(fault("2210", "Invalid Email Address format"));
        }
        let known = ["DisplayName", "CompanyName", "PrimaryEmailAddr", "PrimaryPhone", "Notes", "Active"];
        let paid = ["CustomerRef", "TotalAmt", "TxnDate", "PaymentRefNum", "PrivateNote"];
        let names = if entity == "Customer" { known.as_slice() } else { paid.as_slice() };
        let stray =
            |name: &&String| !names.contains(&name.as_str()) && !["Id", "SyncToken", "sparse"].contains(&name.as_str());
        if let Some(name) = body.as_object().unwrap().keys().find(stray) {
            return Err(fault("2010", &format!("Request has invalid or unsupported property: {name}")));
        }
        let Some(id) = body["Id"].as_str() else {
            if entity == "Payment" && (body["CustomerRef"]["value"].as_str().is_none() || !body["TotalAmt"].is_number())
            {
                return Err(fault("2020", "Required param missing, need to supply the required value for the API"));
            }
            let id = (self.of(entity).change + 1000).to_string();
            return Ok(self.set(entity, &id, body));
        };
        let Some(before) = self.of(entity).get(id).cloned() else { return Err(fault("610", "Object Not Found")) };
        if before["SyncToken"] != body["SyncToken"] {
            return Err(fault("5010", "Stale Object Error"));
        }
        if deletes {
            self.of(entity).remove(id);
            return Ok(json!({ "status": "Deleted", "domain": "QBO", "Id": id }));
        }
        if body["sparse"] != true {
            return Err(fault("2500", "A full update would take away what is not named"));
        }
        let mut changes = body.clone();
        changes.as_object_mut().unwrap().retain(|name, _| name != "SyncToken");
        Ok(self.set(entity, id, &changes))
    }

    fn one(&mut self, entity: &str, asked: &Asked, body: &Value) -> Response {
        let request = asked.query.get("requestid").cloned().unwrap_or_default();
        if let Some(before) = self.requests.get(&request) {
            return answer(200, before);
        }
        let deletes = asked.query.get("operation").is_some_and(|operation| operation == "delete");
        let written = match self.write(entity, body, deletes) {
            Ok(record) => json!({ entity: record, "time": "2026-01-01T00:00:00.000-08:00" }),
            Err(fault) => return answer(400, &fault),
        };
        if !request.is_empty() {
            self.requests.insert(request, written.clone());
        }
        if std::mem::take(&mut self.loses) {
            return answer(502, &json!({}));
        }
        answer(200, &written)
    }

    fn batch(&mut self, body: &Value) -> Response {
        let items = body["BatchItemRequest"].as_array().unwrap().clone();
        self.asked.push(format!("batch {}", items.len()));
        if items.len() > 30 {
            return answer(400, &fault("1040", "BatchItemRequest exceeds the maximum"));
        }
        // In another order than they came.
        let results: Vec<Value> = items
            .iter()
            .rev()
            .map(|item| {
                let mut result = match self.write("Customer", &item["Customer"], false) {
                    Ok(record) if item["operation"] == "update" => json!({ "Customer": record }),
                    Ok(_) => fault("2010", "no such operation here"),
                    Err(fault) => fault,
                };
                result["bId"] = item["bId"].clone();
                result
            })
            .collect();
        answer(200, &json!({ "BatchItemResponse": results, "time": "2026-01-01T00:00:00.000-08:00" }))
    }
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    if !asked.is_signed_in() || asked.header("accept") != "application/json" {
        return answer(401, &fault("3200", "AuthenticationFailed"));
    }
    let entity = |name: &str| if name == "customer" { "Customer" } else { "Payment" };
    let (method, path) = asked.below("/");
    match (method, path.as_slice(), asked.json()) {
        ("GET", ["query"], _) => server.query(&asked.query["query"]),
        ("GET", ["companyinfo", "1"], _) => answer(200, &json!({ "CompanyInfo": { "CompanyName": "Books" } })),
        ("GET", [name @ ("customer" | "payment"), id], _) => {
            let entity = entity(name);
            match server.of(entity).get(id) {
                Some(record) => answer(200, &json!({ entity: record })),
                None => answer(400, &fault("610", "Object Not Found")),
            }
        }
        ("POST", ["batch"], Some(body)) => server.batch(&body),
        ("POST", [name @ ("customer" | "payment")], Some(body)) => server.one(entity(name), asked, &body),
        _ => answer(404, &fault("120", "no such address")),
    }
}

/// Two rows a page.
fn stage(customers: usize) -> (Shared, Scripted) {
    let server = Shared::default();
    for n in 1..=customers {
        let customer =
            json!({ "DisplayName": format!("Ann {n}"), "PrimaryPhone": { "FreeFormNumber": "555" }, "Balance": n });
        server.look().set("Customer", &n.to_string(), &customer);
    }
    let rules = include_str!("../../../sync-rules/examples/quickbooks/books.toml");
    let rules = with_bearer(rules, "quickbooks").replace("maxresults 1000", "maxresults 2");
    (server.clone(), Scripted::new("quickbooks", answered_by(server, serve), &rules))
}

#[test]
fn customers_and_their_payments_go_both_ways_by_queries_in_text() {
    let (server, scripted) = stage(3);
    let paid = json!({ "CustomerRef": { "value": "2", "name": "Ann 2" }, "TotalAmt": 12.5, "TxnDate": "2026-01-05" });
    server.look().set("Payment", "p1", &paid);
    server.look().set("Payment", "p2", &json!({ "CustomerRef": { "value": "1" }, "TotalAmt": 3 }));
    server.look().set("Payment", "p3", &json!({ "CustomerRef": { "value": "1" }, "TotalAmt": 4 }));
    assert_eq!(scripted.sync().exits(0).writes(), (0, 6));
    let asked = || std::mem::take(&mut server.look().asked);
    let whole = [
        "Customer from 1 since None",
        "Customer from 3 since None",
        "Payment from 1 since None",
        "Payment from 3 since None",
    ];
    assert_eq!(asked().into_iter().filter(|one| !one.contains("from 4")).collect::<Vec<_>>(), whole);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
    let quiet = asked();
    assert!(quiet.iter().all(|one| one.contains("since Some(\"20")), "{quiet:?}");

    // On both sides at once, and what the other side has of a customer stays.
    server.look().set("Customer", "1", &json!({ "DisplayName": "Bob", "Notes": "from there" }));
    scripted.world.sql("update customers set phone = '777' where name = 'Ann 1'");
    scripted.world.sql("insert into customers (name, email) values ('Dan', 'dan@x.io')");
    scripted.world.sql("update payments set note = 'late' where amount = '12.50'");
    scripted.world.sql("delete from payments where amount = '3.00'");
    scripted.sync().exits(0);
    let one = server.look().customers.get("1").cloned().unwrap();
    assert_eq!(
        (&one["DisplayName"], &one["PrimaryPhone"]["FreeFormNumber"], &one["Balance"]),
        (&json!("Bob"), &json!("777"), &json!(1))
    );
    assert_eq!(scripted.world.rows("select notes from customers where name = 'Bob'"), [["from there"]]);
    assert_eq!(server.look().payments.get("p1").unwrap()["PrivateNote"], "late");
    assert!(server.look().payments.get("p2").is_none(), "deleted there as well");
    assert_eq!(
        server
            .look()
            .customers
            .records
            .values()
            .filter(|(_, one)| one.as_ref().unwrap()["DisplayName"] == "Dan")
            .count(),
        1
    );

    // What is made inactive is archived there, and what is gone there is gone here once it was asked for.
    scripted.world.sql("delete from customers where name = 'Ann 3'");
    server.look().payments.remove("p1");
    scripted.full_sync().exits(0);
    assert_eq!(server.look().customers.get("3").unwrap()["Active"], false);
    assert_eq!(scripted.world.rows("select count(*) from payments"), [["1"]]);
    for _ in 0..2 {
        assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
    }
}

#[test]
fn thirty_updates_go_in_one_request_and_one_that_is_refused_keeps_none_back() {
    let (server, scripted) = stage(40);
    scripted.sync().exits(0);
    server.look().asked.clear();
    scripted
        .world
        .sql("update customers set notes = 'x', email = case name when 'Ann 2' then 'nowhere' else email end");
    assert_ne!(scripted.sync().code, 0, "one has no address");
    let asked = std::mem::take(&mut server.look().asked);
    // They go side by side.
    let batches: BTreeSet<&str> = asked.iter().map(String::as_str).filter(|one| one.starts_with("batch")).collect();
    assert_eq!(batches, BTreeSet::from(["batch 30", "batch 10"]));
    let noted = || {
        let server = server.look();
        server.customers.records.values().filter(|(_, one)| one.as_ref().unwrap()["Notes"] == "x").count()
    };
    assert_eq!(noted(), 39);
    assert!(scripted.run(&["--json", "status"]).stdout.contains("Invalid Email Address format"));
    scripted.world.sql("update customers set email = 'ann2@x.io' where name = 'Ann 2'");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(noted(), 40);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}

#[test]
fn a_stale_token_is_merged_again_and_a_lost_create_is_asked_again_by_its_request_id() {
    let (server, scripted) = stage(1);
    scripted.sync().exits(0);
    // The first answer is lost after it was carried out.
    server.look().loses = true;
    scripted.world.sql("insert into customers (name) values ('Dan')");
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    assert_eq!(server.look().customers.records.len(), 2);
    assert_eq!(server.look().requests.len(), 1);
    let payment = "insert into payments (customer, amount) select id, '7.25' from customers where name = 'Dan'";
    scripted.world.sql(payment);
    assert_eq!(scripted.sync().exits(0).writes(), (1, 0));
    let (_, made) = server.look().payments.records.values().next().cloned().unwrap();
    assert_eq!(made.unwrap()["TotalAmt"], json!(7.25));
    // An edit there that no listing shows: the time stands still.
    let before = server.look().customers.get("1").unwrap()["MetaData"].clone();
    let mut customer = server.look().set("Customer", "1", &json!({ "CompanyName": "Lee & Co" }));
    customer["MetaData"] = before;
    server.look().customers.records.insert("1".to_owned(), (1, Some(customer)));
    scripted.world.sql("update customers set notes = 'mine' where name = 'Ann 1'");
    scripted.sync().exits(0);
    let one = server.look().customers.get("1").cloned().unwrap();
    assert_eq!((&one["CompanyName"], &one["Notes"]), (&json!("Lee & Co"), &json!("mine")));
    scripted.full_sync().exits(0);
    assert_eq!(scripted.world.rows("select company from customers where name = 'Ann 1'"), [["Lee & Co"]]);
    assert_eq!(scripted.sync().exits(0).writes(), (0, 0));
}
