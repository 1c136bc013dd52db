//! The whole way of a pass, once in each direction.

use serde_json::json;

use crate::world::World;

#[test]
#[expect(clippy::disallowed_methods, reason = "edits at the sandbox carry the program's clock")]
fn an_edit_on_either_side_reaches_the_other_and_the_next_pass_is_quiet() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let now = chrono::Utc::now();
    world
        .at("crm", |crm| crm.insert("/contacts", &json!({"email": "Ann@X.io ", "name": "Ann", "phone": "1"}), now))
        .unwrap();
    world.sync().exits(0);
    assert_eq!(world.rows("select email, name, phone from contacts"), [["ann@x.io", "Ann", "1"]]);
    world.sql("update contacts set phone = '2'");
    assert_eq!(world.sync().exits(0).writes(), (1, 0));
    assert_eq!(world.contacts("crm")[0]["phone"], "2");
    assert_eq!(world.sync().exits(0).writes(), (0, 0));
}
