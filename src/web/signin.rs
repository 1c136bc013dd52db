//! Owns: signing in to an upstream by the daemon's own pages: the way to its authorization server, and the way back.
//!
//! Must not know: what is asked there; where tokens are kept.
//!
//! The way back comes from another site, so that the cookie of the session (`SameSite=Strict`) is not with it. What came back
//! is told by `state` and by a cookie of its own (`Lax`, for this path, for ten minutes) that only the browser has which
//! went. Both count once, and only while the session lasts that began it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use maud::{Markup, html};
use url::Url;

use crate::rules::{Auth, Grant, Ruleset, Upstream};
use crate::upstream::{Back, Client, SignIn, encode_segment, read_back_url};

use super::access::{Token, random};
use super::guard::cookie;
use super::pages::{Form, bare, trouble};
use super::site::Site;

/// Where browsers come back to.
pub const CALLBACK: &str = "/oauth/callback";
/// A sign-in that was begun counts for so long.
const SIGN_IN_MAX: Duration = Duration::from_mins(10);
/// Sign-ins that are remembered; beyond, the oldest counts no more.
const BEGUN_MAX: usize = 16;

/// Makes the client of an upstream, with its secrets as they are at that moment; or says why not.
pub type ClientOf = dyn Fn(&Ruleset, &str) -> Result<Client, String> + Send + Sync;

/// Sign-ins that were begun here.
#[derive(Default)]
pub struct SignIns {
    client_of: Option<Arc<ClientOf>>,
    begun: Mutex<Vec<Begun>>,
}

struct Begun {
    /// The cookie of the browser that went.
    browser: Token,
    /// The form token of its session.
    session: String,
    until: Duration,
    upstream: String,
    client: Arc<Client>,
    sign_in: SignIn,
}

impl SignIns {
    /// Of clients that are made so.
    pub fn of(client_of: Arc<ClientOf>) -> Self {
        Self { client_of: Some(client_of), begun: Mutex::default() }
    }

    fn begun(&self) -> MutexGuard<'_, Vec<Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, one: Begun, now: Duration) {
        let mut begun = self.begun();
        begun.retain(|one| one.until > now);
        if begun.len() >= BEGUN_MAX {
            begun.remove(0);
        }
        begun.push(one);
    }

    /// What this is the answer to. It counts no more after that.
    fn take(&self, browser: &str, back: &Back, now: Duration) -> Option<Begun> {
        let mut begun = self.begun();
        begun.retain(|one| one.until > now);
        let at = begun.iter().position(|one| one.sign_in.is_answered_by(back) && one.browser.is(browser))?;
        Some(begun.remove(at))
    }
}

impl Site {
    /// The upstreams that a person can sign in to here: those whose answer comes back to these pages.
    pub fn signing_in(&self) -> BTreeSet<String> {
        let rules = self.front.desk.standing().rules;
        let named = rules.upstreams.iter().filter(|(_, upstream)| self.redirect_of(upstream).is_some());
        if self.sign_ins.client_of.is_none() { BTreeSet::new() } else { named.map(|(name, _)| name.clone()).collect() }
    }

    fn redirect_of<'a>(&self, upstream: &'a Upstream) -> Option<&'a Url> {
        let Auth::Tokens(rules) = &upstream.auth else { return None };
        let Grant::AuthorizationCode(sign_in) = &rules.grant else { return None };
        let url = sign_in.redirect_url.as_ref()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let authority = format!("{}{port}", url.host_str()?);
        (url.path() == CALLBACK && url.query().is_none() && self.hosts.knows(&authority)).then_some(url)
    }
}

/// For browsers that are logged in.
pub fn router() -> Router<Arc<Site>> {
    Router::new().route("/upstreams/{upstream}/sign-in", post(begin))
}

/// For browsers that come back, without their session.
pub fn open_router() -> Router<Arc<Site>> {
    Router::new().route(CALLBACK, get(end))
}

/// Sends the browser there. Not by a redirect: pages forbid forms that lead elsewhere (`form-action`), also by a detour.
async fn begin(State(site): State<Arc<Site>>, Path(name): Path<String>, form: Form) -> Response {
    let refuse = |words: &str| trouble(&form.session, StatusCode::CONFLICT, words);
    let rules = site.front.desk.standing().rules;
    let redirect_url = rules.upstreams.get(&name).and_then(|upstream| site.redirect_of(upstream));
    let (Some(redirect_url), Some(client_of)) = (redirect_url, &site.sign_ins.client_of) else {
        return trouble(&form.session, StatusCode::NOT_FOUND, "nobody can sign in to that upstream here");
    };
    let client = match client_of(&rules, &name) {
        Ok(client) => Arc::new(client),
        Err(words) => return refuse(&words),
    };
    let Some(keeper) = client.keeper() else { return refuse("it has no tokens") };
    let (sign_in, browser) = match (keeper.sign_in(redirect_url.to_string()), random()) {
        (Ok(sign_in), Some(browser)) => (sign_in, browser),
        (Err(failure), _) => return refuse(&failure.words),
        (Ok(_), None) => return refuse("the system has no random numbers"),
    };
    let secure = if redirect_url.scheme() == "https" { "; Secure" } else { "" };
    let seconds = SIGN_IN_MAX.as_secs();
    let cookie =
        format!("{}={browser}; HttpOnly; SameSite=Lax; Path={CALLBACK}; Max-Age={seconds}{secure}", name_of(&site));
    let address = sign_in.url.to_string();
    let now = site.front.clock.monotonic();
    let begun = Begun {
        browser: Token::of(&browser),
        session: form.session.form_token.clone(),
        until: now + SIGN_IN_MAX,
        upstream: name.clone(),
        client: Arc::clone(&client),
        sign_in,
    };
    site.sign_ins.remember(begun, now);
    let content = html! {
        main {
            h1 { "Sign in to " (name) }
            p { a href=(address) rel="noreferrer" { "Go on to " (host_of(&address)) } }
        }
    };
    ([(header::SET_COOKIE, cookie), (header::REFRESH, format!("0; url={address}"))], bare("sign in", &content))
        .into_response()
}

/// Takes what the browser brought back.
async fn end(State(site): State<Arc<Site>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let back = read_back_url(query.as_deref().unwrap_or_default());
    let now = site.front.clock.monotonic();
    let browser = cookie(&headers, &name_of(&site)).unwrap_or_default();
    let begun = site.sign_ins.take(browser, &back, now);
    let Some(begun) = begun.filter(|begun| site.sessions().holds(&begun.session, now)) else {
        let words = "This is not the answer to a sign-in that this browser began here, or it comes too late.";
        return over(&site, StatusCode::BAD_REQUEST, "Not signed in", &html! { (words) });
    };
    let name = &begun.upstream;
    let Some(keeper) = begun.client.keeper() else {
        return over(&site, StatusCode::CONFLICT, "Not signed in", &html! { "It has no tokens." });
    };
    match keeper.signed_in(&begun.sign_in, &back).await {
        Ok(made) => {
            tracing::info!(upstream = name.as_str(), "web: somebody signed in");
            if let Some(file) = made {
                tracing::warn!(
                    "tokens are sealed with a new master key in {}: keep a copy of it elsewhere",
                    file.display()
                );
            }
            let rules = site.front.desk.standing().rules;
            let bound = rules
                .in_order()
                .into_iter()
                .filter(|collection| collection.bindings.iter().any(|binding| binding.upstream.name == *name));
            let names: Vec<String> = bound.map(|collection| collection.name.clone()).collect();
            // Where none is made now, the next one that is due goes on.
            let passes = if names.is_empty() { Ok(()) } else { site.front.desk.sync(names, false).await.map(|_| ()) };
            let words = if passes.is_ok() { "Its collections are synchronised now." } else { "The next pass goes on." };
            over(&site, StatusCode::OK, &format!("Signed in to {name}"), &html! { (words) })
        }
        Err(failure) => {
            tracing::warn!(upstream = name.as_str(), error = %failure, "web: a sign-in failed");
            over(&site, StatusCode::BAD_REQUEST, &format!("Not signed in to {name}"), &html! { (failure.words) })
        }
    }
}

/// The last page, and an end to the cookie. It leads on by a link: a redirect would still come from the other site.
fn over(site: &Site, status: StatusCode, title: &str, words: &Markup) -> Response {
    let content = html! {
        main {
            h1 { (title) }
            p { (words) }
            p { a href="/upstreams" { "To the upstreams" } }
        }
    };
    let gone = format!("{}=; HttpOnly; SameSite=Lax; Path={CALLBACK}; Max-Age=0", name_of(site));
    (status, [(header::SET_COOKIE, gone)], bare(title, &content)).into_response()
}

/// Where the form of a button leads.
pub fn action(upstream: &str) -> String {
    format!("/upstreams/{}/sign-in", encode_segment(upstream))
}

fn name_of(site: &Site) -> String {
    format!("{}_sign_in", site.cookie)
}

fn host_of(address: &str) -> String {
    Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use secrecy::SecretString;

    use crate::clock::SystemClock;
    use crate::rules::{Context, Source, check};
    use crate::upstream::HttpTransport;

    use super::*;

    const RULES: &str = r#"
[upstream.crm]
base_url = "https://crm.test"
[upstream.crm.auth]
kind = "oauth2"
grant = "authorization_code"
authorize_url = "https://id.test/authorize"
token_url = "https://id.test/token"
client_id = "client"
"#;

    /// A sign-in that a browser began at that moment, and the `state` that it will bring back.
    fn begun(browser: &str, now: Duration) -> (Begun, String) {
        let source = Source { path: "rules.toml".into(), text: RULES.into(), defect: None };
        let none = |_: &str| Ok(());
        let checked = check(&[source], &Context { vars: &BTreeMap::new(), find_secret: &none });
        let upstream = Arc::clone(&checked.ruleset.unwrap().upstreams["crm"]);
        let secret = |_: &str| None::<SecretString>;
        let client =
            Client::new(upstream, &secret, Arc::new(HttpTransport::new()), Arc::new(SystemClock::new())).unwrap();
        let sign_in = client.keeper().unwrap().sign_in("https://pages.test/oauth/callback".into()).unwrap();
        let state = sign_in.url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let (browser, until) = (Token::of(browser), now + SIGN_IN_MAX);
        let begun = Begun {
            browser,
            session: "session".into(),
            until,
            upstream: "crm".into(),
            client: Arc::new(client),
            sign_in,
        };
        (begun, state)
    }

    fn answer(state: &str) -> Back {
        read_back_url(&format!("code=c&state={state}"))
    }

    #[test]
    fn an_answer_counts_once_for_the_browser_that_went_and_for_ten_minutes() {
        let (all, now) = (SignIns::default(), Duration::from_hours(1));
        let (first, first_state) = begun("first", now);
        let (second, second_state) = begun("second", now);
        all.remember(first, now);
        all.remember(second, now);
        let soon = now + Duration::from_secs(599);
        assert!(all.take("second", &answer(&first_state), soon).is_none(), "another browser's");
        assert!(all.take("", &answer(&first_state), soon).is_none(), "no browser's");
        assert!(all.take("first", &answer("guessed"), soon).is_none(), "no state of ours");
        assert_eq!(all.take("first", &answer(&first_state), soon).unwrap().upstream, "crm");
        assert!(all.take("first", &answer(&first_state), soon).is_none(), "it counted");
        assert!(all.take("second", &answer(&second_state), now + SIGN_IN_MAX).is_none(), "too late");
        assert!(all.begun().is_empty());
    }

    #[test]
    fn the_number_of_sign_ins_is_bounded_and_the_oldest_counts_no_more() {
        let (all, now) = (SignIns::default(), Duration::from_hours(1));
        let states: Vec<String> = (0..=BEGUN_MAX)
            .map(|at| {
                let (one, state) = begun(&at.to_string(), now);
                all.remember(one, now);
                state
            })
            .collect();
        assert!(all.take("0", &answer(&states[0]), now).is_none());
        assert!(all.take("1", &answer(&states[1]), now).is_some());
        assert_eq!(all.begun().len(), BEGUN_MAX - 1);
    }
}
