//! Owns: scratch. Must not know: anything.
use std::sync::Arc; use std::collections::BTreeMap;
use crate::{clock::*, rules, store::*, upstream, reconcile::*};
pub fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (dir, db, url) = (&args[1], &args[2], &args[3]);
    let mut sources = vec![];
    for e in std::fs::read_dir(dir).unwrap() { let p = e.unwrap().path(); if p.extension().is_some_and(|x| x == "toml") { sources.push(rules::Source { path: p.display().to_string(), text: std::fs::read_to_string(&p).unwrap() }); } }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    let vars: BTreeMap<String, String> = [("kinto_url".to_string(), url.clone()), ("bench_url".into(), url.clone())].into();
    let checked = rules::check(&sources, &rules::Context { vars: &vars, has_secret: &|_| true });
    println!("{}", rules::render(&checked.diagnostics, &sources, false, 120));
    let Some(rs) = checked.ruleset else { return };
    let rt = tokio::runtime::Runtime::new().unwrap();
    rt.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = Arc::new(SqliteStore::open(OpenOptions::file(db, Mode::ReadWriteCreate, clock.now().timestamp_micros())).unwrap());
        let t: Arc<dyn upstream::Transport> = Arc::new(upstream::HttpTransport::new());
        let clients = rs.upstreams.iter().map(|(n, u)| (n.clone(), Arc::new(upstream::Client::new(u.clone(), Box::new(|n| Some(if n.contains("user") { "admin" } else { "s3cret" }.to_string())), t.clone(), clock.clone())))).collect();
        let rs = Arc::new(rs);
        let (engine, notes) = Engine::open(store.clone(), rs.clone(), clients, clock.clone()).await.unwrap();
        for n in notes { println!("note: {n}"); }
        for c in rs.in_order() {
            let r = engine.pass(&c.name, &PassOptions { trigger: "once".into(), full: args.len() > 4, dry_run: false, all_changes: false }, &Silent).await;
            match r { Ok(mut r) => { r.changes.truncate(6); println!("{}", serde_json::to_string_pretty(&r).unwrap()) }, Err(e) => println!("ERR {e}") }
        }
        store.close();
    });
}
