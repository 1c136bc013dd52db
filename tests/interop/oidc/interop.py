"""Signs in to a real OpenID provider through the real binary and syncs contacts with an API that wants its tokens.

Standard library only. Every step says what it claims; the first claim that does not hold ends the run with exit code 1.
"""

import argparse
import html
import html.parser
import http.cookiejar
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

# What a form of RFC 6749, 2.3.1 must encode.
SECRET = "s3cr:et/+ %&=!~end"
PATIENCE_S = 60
BEGAN = time.monotonic()

RULES = """
[collection.contacts]
every = "1h"
match = {{ keys = [["email"]] }}
[collection.contacts.fields]
email = {{ type = "text", normalize = ["trim", "lowercase"] }}
name = "text"
phone = "text"

[upstream.crm]
base_url = "{api}"
check = {{ request = "GET /me", account = ".id" }}
[upstream.crm.auth]
kind = "oauth2"
grant = "{grant}"
token_url = "{issuer}/token"
revoke_url = "{issuer}/token/revocation"
client_id = "{client}"
refresh_before = "{before}"
scopes = {scopes}
{own}

[binding.contacts.crm]
id = ".id"
version = ".v"
[binding.contacts.crm.read]
request = "GET /contacts"
records = ".data[]"
page = "none"
incremental = "none"
deletes = {{ kind = "absence" }}
get = "GET /contacts/{{id}}"
[binding.contacts.crm.map]
email = ".email"
name = ".name"
phone = ".phone"
[binding.contacts.crm.write.update]
request = "PATCH /contacts/{{id}}"
precondition = "none"
"""


def claim(words, holds, detail=""):
    print(f"{time.monotonic() - BEGAN:6.1f} s  {'ok' if holds else 'FAILED'}  {words}", flush=True)
    if not holds:
        raise SystemExit(f"{words}\n{detail}")


class Provider:
    """The provider, what it told, and the hands of the test."""

    def __init__(self, options, clients, token_s):
        self.process = subprocess.Popen(["node", options.server, json.dumps(clients), str(token_s)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, "MODULES": options.node_modules})
        self.words, self.events, self.told = [], [], threading.Condition()
        threading.Thread(target=lambda: self.words.extend(self.process.stderr), daemon=True).start()
        port = self.process.stdout.readline()
        if not port:
            raise SystemExit("the provider did not start:\n" + "".join(self.words))
        self.issuer = f"http://127.0.0.1:{port.strip()}"
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            if not line.startswith("{"):
                self.words.append(line)
                continue
            with self.told:
                self.events.append(json.loads(line))
                self.told.notify_all()

    def since(self, mark, **like):
        """Events like this that were told after a mark. Whatever the binary waited for has been told by then."""
        self.test("contacts")
        with self.told:
            return [event for event in self.events[mark:] if all(event.get(key) == value for key, value in like.items())]

    def mark(self):
        self.test("contacts")
        with self.told:
            return len(self.events)

    def test(self, what, value=None):
        data = None if value is None else str(value).encode()
        with urllib.request.urlopen(f"{self.issuer}/test/{what}", data=data, timeout=30) as answer:
            return answer.read()

    def phone(self):
        return json.loads(self.test("contacts"))[0]["phone"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE_S)


class Form(html.parser.HTMLParser):
    """The first form of a page: where it goes and what it holds."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields = None, {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form" and self.action is None:
            self.action = attributes["action"]
        elif tag == "input" and "name" in attributes:
            self.fields[attributes["name"]] = attributes.get("value", "")


class Browser:
    """Follows redirects, keeps cookies, fills in the forms of the provider's development pages."""

    def __init__(self, login):
        self.login = login
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar)

    def get(self, url, data=None):
        try:
            with self.opener.open(url, data=data, timeout=PATIENCE_S) as answer:
                return answer.status, answer.geturl(), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.geturl(), error.read().decode()

    def walk(self, url):
        """To the last page that has no form."""
        status, url, page = self.get(url)
        for _ in range(8):
            form = Form(page)
            if form.action is None:
                break
            fields = {**form.fields, **({"login": self.login, "password": "x"} if "login" in form.fields else {})}
            status, url, page = self.get(urllib.parse.urljoin(url, form.action), urllib.parse.urlencode(fields).encode())
        return status, url, page


class World:
    """A folder with rules and a database, and the binary."""

    def __init__(self, options, folder, provider, name, grant, client, own="", scopes=("openid", "offline_access", "contacts"), before="1s"):
        self.binary, self.folder, self.provider = options.binary, os.path.join(folder, name), provider
        os.makedirs(os.path.join(self.folder, "rules"))
        with open(os.path.join(self.folder, "rules", "rules.toml"), "w") as file:
            file.write(RULES.format(api=f"{provider.issuer}/api", issuer=provider.issuer, grant=grant, client=client, before=before,
                                    scopes=json.dumps(list(scopes)), own=own.format(issuer=provider.issuer)))
        self.said = []

    def start(self, *arguments, log="warn", settings=None, **more):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RECONCILED")}
        environment.update({"RECONCILED_LOG": "trace"} if log == "trace" else {}, **(settings or {}))
        command = [self.binary, "--db", "data.db", "--rules", "rules", "--log-level", log, *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=environment, text=True,
                                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more})

    def run(self, *arguments, feed=None, code=0, **more):
        process = self.start(*arguments, **({"stdin": subprocess.PIPE} if feed is not None else {}), **more)
        out, err = process.communicate(feed, timeout=PATIENCE_S)
        self.said.append(out + err)
        if code is not None and process.returncode != code:
            raise SystemExit(f"{arguments} came to {process.returncode} and not {code}:\n{out}{err}\n{''.join(self.provider.words)}"
                             f"\n{self.provider.events[-8:]}")
        return out + err

    def sync(self, code=0):
        return self.run("--json", "run", "--once", code=code, log="trace")

    def login(self, browser):
        process = self.start("auth", "login", "crm")
        talk = ""
        while not (found := re.search(r"^\s*(http\S+)$", talk, re.M)):
            line = process.stderr.readline()
            if not line:
                raise SystemExit(f"no address was told:\n{talk}")
            talk += line
        status, url, page = browser.walk(found[1])
        if url.startswith(self.provider.issuer):
            process.kill()
        out, err = process.communicate(timeout=PATIENCE_S)
        self.said.append(talk + out + err)
        return process.returncode, status, page, err

    def sql(self, text):
        with sqlite3.connect(os.path.join(self.folder, "data.db")) as db:
            return db.execute(text).fetchall()

    def status(self, code=0):
        text = self.run("--json", "auth", "status", code=code)
        return json.JSONDecoder().raw_decode(text)[0][0]


CODE = """client_secret = "${{secret.client}}"
authorize_url = "{issuer}/auth"
authorize_params = {{ prompt = "consent" }}
issuer = "{issuer}"
"""


def wait_until_ended(world):
    """Until the access token has ended by the server's own word."""
    end = world.status()["expires_at"]
    while time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) <= end[:19]:
        time.sleep(0.1)


def signs_in(options, folder, provider):
    world = World(options, folder, provider, "code", "authorization_code", "web", CODE)
    world.run("secret", "set", "client", feed=SECRET)
    words = world.sync(code=6)
    claim("without a sign-in the upstream pauses", "reauth required: nobody is signed in" in words, words)
    code, status, page, err = world.login(Browser("ann"))
    claim("a person signs in: PKCE, `state`, `iss`, a loopback port that the server was not told", code == 0 and status == 200,
          (page, err, provider.words))
    claim("the account is told", "signed in to crm as ann" in err, err)
    world.sync()
    claim("records are read with the token", world.sql("select name from contacts") == [("Ann",)])

    for _ in range(3):
        mark = provider.mark()
        wait_until_ended(world)
        world.sync()
        grants = provider.since(mark, event="granted", grant="refresh_token")
        claim("a token that has ended is renewed once, before it is used",
              len(grants) == 1 and not provider.since(mark, event="asked", who=None), provider.events[mark:])
    world.sql("update contacts set phone = '2'")
    world.sync()
    claim("an edit is written with it", provider.phone() == "2")
    return world


def at_once(world, provider, rounds=4, processes=6):
    for _ in range(rounds):
        mark = provider.mark()
        wait_until_ended(world)
        running = [world.start("check", "--online") for _ in range(processes)]
        outcomes = [(*process.communicate(timeout=PATIENCE_S), process.returncode) for process in running]
        claim(f"{processes} processes at once share one renewal",
              all(code == 0 for _, _, code in outcomes) and len(provider.since(mark, event="granted", grant="refresh_token")) == 1
              and not provider.since(mark, event="refused"), (outcomes, provider.events[mark:]))


def killed(world, provider):
    """Killed while the server has rotated and the answer is on its way: the token that counts is lost, and people are told so."""
    provider.test("delay", 700)
    wait_until_ended(world)
    before = provider.mark()
    process = world.start("check", "--online", start_new_session=True)
    time.sleep(0.35)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    provider.test("delay", 0)
    deadline = time.monotonic() + PATIENCE_S
    while not provider.since(before, event="granted") and time.monotonic() < deadline:
        time.sleep(0.05)
    words = world.sync(code=6)
    claim("killed between the server's answer and the disk: reauth required, and why",
          "reauth required" in words and "auth login crm" in words and "was not heard" in words, words)
    claim("`auth status` says so too", world.status(code=6)["state"] == "reauth_required")
    mark = provider.mark()
    world.sync(code=6)
    claim("the server is left alone after that", not provider.since(mark, event="refused"), provider.events[mark:])
    world.sql("update contacts set phone = '3'")
    code, _, _, err = world.login(Browser("ann"))
    world.sync()
    claim("signed in anew, what waited is written", code == 0 and provider.phone() == "3", err)


def given_up(world, provider):
    mark = provider.mark()
    world.run("auth", "revoke", "crm")
    claim("tokens are given up there", len(provider.since(mark, event="grant_revoked")) == 1, provider.events[mark:])
    claim("and here", world.status(code=6)["state"] == "nobody")
    code, _, _, err = world.login(Browser("bert"))
    words = world.sync(code=None)
    claim("another account is noticed before anything is read", code == 0 and "account" in words and "bert" in words, words)


def refuses(options, folder, provider):
    world = World(options, folder, provider, "wrong", "authorization_code", "web", CODE)
    world.run("secret", "set", "client", feed="wrong")
    code, status, _, err = world.login(Browser("ann"))
    claim("a wrong client secret is told as such", code != 0 and status == 400 and "invalid_client" in err
          and "client_secret" in err, err)
    world = World(options, folder, provider, "issuer", "authorization_code", "web", CODE.replace('issuer = "{issuer}"', 'issuer = "https://other.test"'))
    world.run("secret", "set", "client", feed=SECRET)
    code, _, _, err = world.login(Browser("ann"))
    claim("an answer of another issuer counts nothing", code != 0 and "the rules want the issuer https://other.test" in err, err)


def public(options, folder, provider):
    own = 'authorize_url = "{issuer}/auth"\nauthorize_params = {{ prompt = "consent" }}\n'
    world = World(options, folder, provider, "public", "authorization_code", "native", own)
    code, _, page, err = world.login(Browser("ann"))
    claim("a client without a secret signs in", code == 0, page + err)
    wait_until_ended(world)
    world.sync()
    claim("and renews", world.sql("select name from contacts") == [("Ann",)])
    world.run("auth", "revoke", "crm")


def device(options, folder, provider):
    own = 'client_secret = "${{secret.client}}"\ndevice_url = "{issuer}/device/auth"\n'
    world = World(options, folder, provider, "device", "device_code", "web", own)
    world.run("secret", "set", "client", feed=SECRET)
    process = world.start("auth", "login", "crm")
    talk = ""
    while not (found := re.search(r"^\s*(http\S+user_code=\S+)$", talk, re.M)):
        line = process.stderr.readline()
        if not line:
            raise SystemExit(f"no address was told:\n{talk}")
        talk += line
    code = re.search(r"type the code (\S+)", talk)
    claim("the code to type is told", code is not None, talk)
    status, url, page = Browser("ann").walk(found[1])
    out, err = process.communicate(timeout=PATIENCE_S)
    claim("a person signs in on another device", process.returncode == 0 and "signed in to crm as ann" in err, page + err)
    wait_until_ended(world)
    world.sync()
    claim("and that is renewed, too", world.sql("select name from contacts") == [("Ann",)])
    return world


def by_the_pages(options, folder, provider):
    """The daemon's own callback: a person presses the button on the page of upstreams, in a browser that is logged in there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        pages = f"http://127.0.0.1:{probe.getsockname()[1]}"
    world = World(options, folder, provider, "pages", "authorization_code", "pages", CODE + f'redirect_url = "{pages}/oauth/callback"\n')
    world.run("secret", "set", "client", feed=SECRET)
    token = "interop-token-of-the-pages"
    log = open(os.path.join(folder, "daemon.log"), "w+")
    daemon = world.start("run", log="trace", stdout=subprocess.DEVNULL, stderr=log,
                         settings={"RECONCILED__WEB__LISTEN": pages.removeprefix("http://"), "RECONCILED_SECRET_WEB_TOKEN": token})
    try:
        browser = Browser("ann")
        deadline = time.monotonic() + PATIENCE_S
        page = ""
        while "reauth required" not in page and time.monotonic() < deadline:
            try:
                browser.get(f"{pages}/login", f"token={token}".encode())
                page = browser.get(f"{pages}/upstreams")[2]
            except OSError:
                time.sleep(0.1)
        claim("the page of upstreams says that somebody has to sign in", "reauth required" in page, page)
        form_token = re.search(r'name="form_token" value="([^"]+)"', page)[1]
        _, _, page = browser.get(f"{pages}/upstreams/crm/sign-in", f"form_token={form_token}".encode())
        there = html.unescape(re.search(r'href="([^"]+/auth[^"]+)"', page)[1])
        status, url, page = browser.walk(there)
        claim("a person signs in by it, and the browser comes back to the daemon", status == 200 and "Signed in to crm" in page, (url, page))
        claim("that counts once", browser.get(url)[0] == 400)
        rows = []
        while rows != [("Ann",)] and time.monotonic() < deadline:
            time.sleep(0.1)
            rows = world.sql("select name from contacts")
        claim("and the daemon goes on", rows == [("Ann",)])
        claim("the page has nothing to say of it any more", "Reauth required" not in browser.get(f"{pages}/upstreams")[2])
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=PATIENCE_S)
        log.seek(0)
        world.said.append(log.read())
        log.close()
    return world


def for_itself(options, folder, provider):
    own = 'client_secret = "${{secret.client}}"\nclient_auth = "body"\n'
    world = World(options, folder, provider, "service", "client_credentials", "service", own, scopes=["contacts"])
    world.run("secret", "set", "client", feed=SECRET)
    world.sync()
    claim("the client itself gets tokens", world.sql("select name from contacts") == [("Ann",)])
    world.run("secret", "set", "client", feed="wrong")
    words = world.sync(code=6)
    claim("a wrong secret is told as such", "invalid_client" in words, words)
    return world


def nothing_in_clear(folder, provider, worlds):
    """No token, code or secret in what was said at any level, or in any file but the key's."""
    shape = re.compile(r"\b[A-Za-z0-9_-]{43}\b")
    claim("what was said is said at trace", all(any("TRACE" in text for text in world.said) for world in worlds if world.said))
    for world in worlds:
        found = [word for text in world.said for word in shape.findall(re.sub(r"(state|code_challenge)=\S+", "", text))]
        claim(f"{os.path.basename(world.folder)}: no token in what was said at trace", not found and not any(SECRET in text for text in world.said),
              found)
        for name in os.listdir(world.folder):
            path = os.path.join(world.folder, name)
            if os.path.isfile(path):
                data = open(path, "rb").read()
                claim(f"{os.path.basename(world.folder)}: none in {name}", SECRET.encode() not in data and not re.search(rb'"(access|refresh)":"', data))


def main():
    parser = argparse.ArgumentParser()
    for name in ("node-modules", "server", "binary"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    all_grants = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]
    clients = [
        {"client_id": "web", "client_secret": SECRET, "application_type": "native", "grant_types": all_grants,
         "redirect_uris": ["http://127.0.0.1/callback"], "response_types": ["code"]},
        {"client_id": "pages", "client_secret": SECRET, "application_type": "native", "grant_types": all_grants,
         "redirect_uris": ["http://127.0.0.1/oauth/callback"], "response_types": ["code"]},
        {"client_id": "native", "application_type": "native", "grant_types": all_grants, "token_endpoint_auth_method": "none",
         "redirect_uris": ["http://127.0.0.1/callback"], "response_types": ["code"]},
        {"client_id": "service", "client_secret": SECRET, "grant_types": ["client_credentials"], "redirect_uris": [],
         "response_types": [], "token_endpoint_auth_method": "client_secret_post", "scope": "contacts"},
    ]
    with tempfile.TemporaryDirectory() as folder:
        provider = Provider(options, clients, 3)
        try:
            world = signs_in(options, folder, provider)
            at_once(world, provider)
            killed(world, provider)
            given_up(world, provider)
            refuses(options, folder, provider)
            public(options, folder, provider)
            worlds = [world, by_the_pages(options, folder, provider), device(options, folder, provider), for_itself(options, folder, provider)]
            nothing_in_clear(folder, provider, worlds)
            claim("the provider met no error of its own", not provider.since(0, event="server_error"), provider.words)
        finally:
            provider.stop()
    print("all claims hold")


if __name__ == "__main__":
    sys.exit(main())
