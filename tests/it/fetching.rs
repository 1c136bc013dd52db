//! `fetch`: records of a binding as the upstream has them, beside what the rules make of them.

use serde_json::{Value, json};

use crate::world::World;

fn world(count: usize) -> World {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    for number in 0..count {
        let card = json!({ "number": format!("4{number}"), "colour": "red" });
        world.add("crm", &json!({ "email": format!("p{number}@x.io"), "name": "Ann", "phone": null, "card": card }));
    }
    world
}

#[test]
fn records_are_shown_as_they_are_there_and_as_they_would_be_here() {
    let world = world(5);
    world.change_rules("rules.toml", |rules| rules.replacen("name = \".name\"", "name = \".card.colour\"", 1));
    let ran = world.run(&["fetch", "contacts.crm", "--limit", "2"]).exits(0);
    for words in [
        "contacts at crm ",
        ".card.colour",
        "\"red\"",
        "p1@x.io",
        "not read: ",
        ".card.number",
        "2 records, and there are more",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("p2@x.io"), "{}", ran.stdout);
    let told: Value = serde_json::from_str(&world.run(&["--json", "fetch", "contacts.crm"]).exits(0).stdout).unwrap();
    assert_eq!((told["records"].as_array().unwrap().len(), &told["more"]), (3, &json!(true)));
    let first = &told["records"][0];
    assert_eq!(first["raw"]["card"]["number"], "40");
    let field = |name: &str| {
        let field = first["fields"].as_array().unwrap().iter().find(|one| one["field"] == name).unwrap();
        ["from", "there", "value"].map(|key| field[key].clone())
    };
    assert_eq!(field("name"), [json!(".card.colour"), json!("red"), json!("red")]);
    assert_eq!(field("phone"), [json!(".phone"), Value::Null, Value::Null]);
    assert!(first["unmapped"].as_array().unwrap().contains(&json!(".card.number")), "{first:#}");
    assert!(!world.database().exists(), "nothing is made here");
    // Where no pass was made yet, nothing is known of upstreams, and nothing is said of that.
    std::fs::write(world.database(), "").unwrap();
    assert_eq!(world.run(&["fetch", "contacts.crm"]).exits(0).stderr, "");
    std::fs::remove_file(world.database()).unwrap();
    assert!(world.writes_at("crm").is_empty());
    // The same records for other programs.
    let lines = world.run(&["fetch", "contacts.crm", "--limit", "9", "--raw"]).exits(0).stdout;
    let emails: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["email"].clone()).collect();
    assert_eq!(emails, ["p0@x.io", "p1@x.io", "p2@x.io", "p3@x.io", "p4@x.io"]);
}

#[test]
fn one_record_is_fetched_by_its_id_and_what_is_wrong_is_told() {
    let world = world(1);
    let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    let told = world.run(&["--json", "fetch", "contacts.crm", "--id", &id]).exits(0);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&told["records"][0]["id"], told["records"].as_array().unwrap().len()), (&json!(id), 1));
    let gone = world.run(&["fetch", "contacts.crm", "--id", "nobody"]).exits(1);
    assert!(gone.stderr.contains("crm has no contacts nobody"), "{}", gone.stderr);
    for (name, words) in [
        ("contacts", "`contacts` is more than one binding; there are contacts.crm, contacts.erp"),
        ("deals.crm", "`deals.crm` is no binding; there are contacts.crm, contacts.erp"),
    ] {
        let refused = world.run(&["fetch", name]).exits(2);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    let empty = world.run(&["fetch", "contacts.erp"]).exits(0);
    assert!(empty.stdout.contains("the listing is empty"), "{}", empty.stdout);
    world.change_rules("rules.toml", |rules| {
        rules.replacen("email = \".email\"", "email = { get = \".name | tonumber\", direction = \"pull\" }", 1)
    });
    let bad = world.run(&["fetch", "contacts.crm"]).exits(0);
    assert!(bad.stdout.contains("× ") && bad.stdout.contains(".name | tonumber"), "{}", bad.stdout);
    println!("{}", bad.stdout);
}
