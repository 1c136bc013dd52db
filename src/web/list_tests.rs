//! Owns: claims about lists, on pages and in the API: which parameters narrow them, how they go on.
//!
//! Must not know: connections; what passes do.

use http::StatusCode;
use serde_json::{Value, json};

use crate::ops::OUTCOMES;
use crate::record::RecordId;
use crate::store::{ConflictRow, HookState, QuarantineRow, write};

use super::tests::{Bench, TOKEN};

/// A store with three conflicts and three records that are set aside.
async fn filled(bench: &Bench) {
    let conflict = |name: &str| ConflictRow {
        id: 0,
        collection: "contacts".to_owned(),
        record: RecordId(name.to_owned()),
        fields: "name".to_owned(),
        kind: "edit".to_owned(),
        base: None,
        candidates: "[]".to_owned(),
        resolution: None,
        pass: 1,
        opened_at: 0,
        closed: None,
    };
    let aside = |subject: &str| QuarantineRow {
        collection: "contacts".to_owned(),
        upstream: "crm".to_owned(),
        subject: subject.to_owned(),
        stage: "pull".to_owned(),
        reason: "why".to_owned(),
        inputs: String::new(),
        since: 0,
        pass: 1,
    };
    let (conflicts, asides) = (["a", "b", "c"].map(conflict), ["a", "b", "c"].map(aside));
    let filled = write(bench.site.store.as_ref(), move |tx| {
        for (conflict, aside) in conflicts.iter().zip(&asides) {
            tx.put_conflict(conflict)?;
            tx.put_quarantine(aside)?;
        }
        Ok(())
    });
    filled.await.unwrap();
}

#[tokio::test]
async fn a_parameter_that_is_empty_asks_for_nothing_in_particular_and_one_that_is_wrong_is_told() {
    let bench = Bench::new();
    filled(&bench).await;
    let bearer = format!("Bearer {TOKEN}");
    let ask = async |path: &str| {
        let answer = bench.get(&format!("/api/v1/{path}"), &[("authorization", &bearer)]).await;
        (answer.status, serde_json::from_str::<Value>(&answer.text).unwrap())
    };
    let lists = [
        ("conflicts", "collection=&field="),
        ("quarantine", "collection=&after="),
        ("passes", "collection=&outcome="),
        ("webhooks", "state="),
        ("usage", "upstream="),
    ];
    for (list, empty) in lists {
        let (plain, narrowed) = (ask(list).await, ask(&format!("{list}?{empty}")).await);
        assert_eq!(plain.0, StatusCode::OK, "{list}: {}", plain.1);
        assert_eq!(narrowed, plain, "{list}?{empty}");
    }
    assert_eq!(ask("conflicts?collection=&limit=2").await.1["total"], 3);
    for (wrong, why) in [
        ("quarantine?after=x", "`after` is not what a page before gave as `next`: x"),
        ("webhooks?state=odd", "`state` is none of waiting, done, replaced, ignored, dead: odd"),
        (
            "passes?outcome=fine",
            "`outcome` is none of ok, pending, conflicts, halted, unavailable, failed, interrupted: fine",
        ),
        ("conflicts?after=x", "invalid digit"),
    ] {
        let (status, said) = ask(wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {said}");
        assert!(said["error"].as_str().unwrap().contains(why), "{wrong}: {said}");
    }
    let described = ask("openapi.json").await.1;
    let schema = |path: &str, name: &str| {
        let all = described["paths"][path]["get"]["parameters"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap()["schema"].clone()
    };
    let states = HookState::ALL.map(HookState::name);
    assert_eq!(schema("/webhooks", "state"), json!({ "type": "string", "enum": states }));
    assert_eq!(schema("/passes", "outcome"), json!({ "type": "string", "enum": OUTCOMES }));
    let place = schema("/quarantine", "after");
    assert_eq!((&place["type"], &place["contentMediaType"]), (&json!("string"), &json!("application/json")));
    for (path, name) in [("/quarantine", "collection"), ("/records/{collection}", "q")] {
        assert_eq!(schema(path, name), json!({ "type": "string" }), "{path} {name}");
    }
    assert!(described["paths"]["/quarantine"]["get"]["responses"]["400"].is_object());
}

#[tokio::test]
async fn every_page_of_a_list_is_as_long_as_the_first() {
    let bench = Bench::new();
    filled(&bench).await;
    let (cookie, _) = bench.login().await;
    for path in ["/conflicts?limit=1&collection=contacts", "/quarantine?collection=contacts&limit=1"] {
        let (mut at, mut pages) = (path.to_owned(), 1);
        loop {
            let answer = bench.get(&at, &[("cookie", &cookie)]).await;
            assert_eq!(answer.status, StatusCode::OK, "{at}");
            let Some(link) = answer.text.split("rel=\"next\" href=\"").nth(1) else { break };
            at = link.split('"').next().unwrap().replace("&amp;", "&");
            assert!(at.contains("limit=1") && at.contains("collection=contacts"), "{path}: {at}");
            pages += 1;
        }
        assert_eq!(pages, 3, "{path}");
    }
}
