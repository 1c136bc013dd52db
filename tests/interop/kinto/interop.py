"""Syncs people and companies with a real Kinto server through the real binary, and checks both sides.

Standard library only. Every step says what it claims; the first claim that does not hold ends the run with exit code 1.
"""

import argparse
import base64
import datetime
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

PEOPLE, COMPANIES = 320, 80
INI = """
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.flush
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.userid_hmac_secret = interop
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy
kinto.account_create_principals = system.Everyone
kinto.bucket_create_principals = system.Authenticated
kinto.paginate_by = 50
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARN
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = %(message)s
"""


class Kinto:
    """The server, and somebody who edits records there by hand."""

    def __init__(self, executable, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}/v1"
        ini = os.path.join(folder, "kinto.ini")
        with open(ini, "w") as file:
            file.write(INI.format(port=self.port))
        self.log = open(os.path.join(folder, "kinto.log"), "w")
        self.process = subprocess.Popen([executable, "start", "--ini", ini, "--port", str(self.port)],
                                        stdout=self.log, stderr=self.log, start_new_session=True)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.base}/__heartbeat__", timeout=2).read()
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("kinto did not start:\n" + open(self.log.name).read())
                time.sleep(0.1)
        self.call("PUT", "/accounts/admin", {"data": {"password": "s3cret"}}, auth=False)
        self.call("PUT", "/buckets/crm", {})
        for name in ("people", "companies"):
            self.call("PUT", f"/buckets/crm/collections/{name}", {})

    def call(self, method, path, body=None, auth=True, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        if auth:
            headers["Authorization"] = "Basic " + base64.b64encode(b"admin:s3cret").decode()
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.headers, json.loads(text) if text else None

    def all(self, name):
        """Every live record by id."""
        found, path = {}, f"/buckets/crm/collections/{name}/records?_limit=1000"
        while path:
            headers, page = self.call("GET", path)
            found.update({record["id"]: record for record in page["data"]})
            following = headers.get("Next-Page")
            path = following[len(self.base):] if following else None
        return found

    def state(self):
        """Changes with every write of anybody."""
        return [self.call("GET", f"/buckets/crm/collections/{name}/records?_limit=1")[0]["ETag"]
                for name in ("people", "companies")]

    def patch(self, collection, record, **fields):
        self.call("PATCH", f"/buckets/crm/collections/{collection}/records/{record}", {"data": fields})

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


def seed(kinto):
    draw = random.Random("kinto interop")
    names = ["Émile", "Håkon", "Łucja", "山田", "O'Neill", "Zoë", "Иван", "Anne-Marie"]
    companies = []
    for number in range(COMPANIES):
        record = str(uuid.uuid5(uuid.NAMESPACE_URL, f"c{number}"))
        companies.append(record)
        kinto.call("PUT", f"/buckets/crm/collections/companies/records/{record}", {"data": {
            "ext_id": f"C-{number:05d}", "name": f"Firma {number} GmbH", "domain": f"c{number:04d}.example.com",
            "employees": draw.choice([None, draw.randrange(1, 200000)]), "revenue": f"{draw.randrange(10**9) / 100:.2f}",
            "city": draw.choice(["Zürich", "東京", "Kraków"]), "notes": draw.choice(["", None, "line one\nline two"]),
            "updated": "2024-05-06T07:08:09Z"}})
    requests = []
    for number in range(PEOPLE):
        first = draw.choice(names)
        born = datetime.date(1950, 1, 1) + datetime.timedelta(days=draw.randrange(20000))
        requests.append({"method": "PUT",
                         "path": f"/v1/buckets/crm/collections/people/records/{uuid.uuid5(uuid.NAMESPACE_URL, f'p{number}')}",
                         "body": {"data": {
                             "ext_id": f"P-{number:06d}", "first_name": first, "last_name": "Testperson", "name": f"{first} Testperson",
                             "email": f"user{number:04d}@example.org", "phone": draw.choice([None, "", f"+41 44 {number:07d}"]),
                             "postcode": f"{draw.randrange(100000):05d}", "city": "Łódź", "balance": f"{draw.randrange(-10**6, 10**8) / 100:.2f}",
                             "score": round(draw.uniform(-1, 1), 6), "big": draw.randrange(2**53 - 10, 2**53), "active": draw.random() < 0.8,
                             "vip": draw.choice([True, False, None]), "born": born.isoformat(), "joined": "2021-02-15T01:00:11Z",
                             "tags": sorted(draw.sample(["new", "vip", "eu", "späm", "a,b"], draw.randrange(4))),
                             "company": draw.choice(companies)}}})
    for at in range(0, len(requests), 25):
        kinto.call("POST", "/batch", {"requests": requests[at:at + 25]})


class Daemon:
    """The binary under test, on its own database."""

    def __init__(self, binary, rules, folder, kinto):
        self.binary, self.rules, self.folder = binary, rules, folder
        self.db = os.path.join(folder, "data.db")
        self.environment = {**os.environ, "RECONCILED__VARS__KINTO_URL": kinto.base, "RECONCILED_SECRET_KINTO_USERNAME": "admin",
                            "RECONCILED_SECRET_KINTO_PASSWORD": "s3cret"}

    def run(self, *arguments, expect=0):
        command = [self.binary, "--db", self.db, "--rules", self.rules, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, cwd=self.folder, timeout=300)
        if done.returncode != expect:
            fail(f"{' '.join(arguments)} ended with {done.returncode}, not {expect}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def sync(self, expect=0):
        """One pass of every collection; their reports, one JSON document a line."""
        return [json.loads(line) for line in self.run("--json", "run", "--once", expect=expect).splitlines()]

    def sql(self, text, *values):
        """What an operator's own program does: plain SQL on the file."""
        with sqlite3.connect(self.db, timeout=10) as connection:
            rows = connection.execute(text, values).fetchall()
        connection.close()
        return rows


def fail(text):
    print(f"NOT SO: {text}", file=sys.stderr)
    raise SystemExit(1)


def claim(what, holds, *facts):
    if not holds:
        fail(f"{what} {facts if facts else ''}")
    print(f"  ok: {what}")


def writes(passes):
    """Remote writes and local changes over all collections of a run."""
    remote = sum(sum(upstream["written"].values()) for one in passes for upstream in one["upstreams"])
    return remote, sum(sum(one["local"].values()) for one in passes)


def story(kinto, daemon):
    print("first contact")
    daemon.sync()
    claim("every person is in the local table", daemon.sql("select count(*) from people") == [(PEOPLE,)])
    claim("every company is in the local table", daemon.sql("select count(*) from companies") == [(COMPANIES,)])
    there = {record["email"]: record for record in kinto.all("people").values()}
    here = daemon.sql("select p.email, p.name, p.balance, p.phone, p.big, c.domain from people p join companies c on c.id = p.company")
    claim("every reference leads to a local company", len(here) == PEOPLE, len(here))
    domains = {key: company["domain"] for key, company in kinto.all("companies").items()}
    claim("values are exact, null is not empty", all(
        (there[email]["name"], there[email]["balance"], there[email]["phone"], there[email]["big"], domains[there[email]["company"]])
        == (name, balance, phone, big, domain) for email, name, balance, phone, big, domain in here))
    before = kinto.state()
    claim("the second pass is quiet", writes(daemon.sync()) == (0, 0))
    claim("and Kinto saw no write", kinto.state() == before)

    print("edits on both sides")
    ids = {record["email"]: key for key, record in kinto.all("people").items()}
    one, two, three, four = (f"user{number:04d}@example.org" for number in (1, 2, 3, 4))
    kinto.patch("people", ids[one], city="Basel")
    daemon.sql("update people set phone = '+41 1' where email = ?", one)
    daemon.sql("update people set name = 'Local Name' where email = ?", two)
    kinto.patch("people", ids[two], name="Kinto Name")
    daemon.sql("update companies set city = 'Bern' where domain = 'c0001.example.com'")
    daemon.sync()
    merged = kinto.all("people")[ids[one]]
    claim("different fields of one record are both kept there", (merged["city"], merged["phone"]) == ("Basel", "+41 1"), merged)
    claim("and here", daemon.sql("select city, phone from people where email = ?", one) == [("Basel", "+41 1")])
    same = kinto.all("people")[ids[two]]["name"]
    claim("the same field ends equal on both sides", [(same,)] == daemon.sql("select name from people where email = ?", two), same)
    claim("and is one of the two edits", same in ("Local Name", "Kinto Name"), same)
    claim("a company edit arrived", any(c["city"] == "Bern" for c in kinto.all("companies").values()))

    print("creates on both sides")
    fresh = str(uuid.uuid4())
    company = daemon.sql("select id from companies where domain = 'c0002.example.com'")[0][0]
    kinto.call("PUT", f"/buckets/crm/collections/people/records/{fresh}", {"data": {"ext_id": "P-900001", "name": "Made There", "email": "there@example.org"}})
    daemon.sql("insert into people (ext_id, name, email, company) values ('P-900002', 'Made Here', 'here@example.org', ?)", company)
    daemon.sync()
    claim("what was made there is here", daemon.sql("select name from people where email = 'there@example.org'") == [("Made There",)])
    made = [record for record in kinto.all("people").values() if record.get("email") == "here@example.org"]
    claim("what was made here is there, once", len(made) == 1, made)
    claim("with its reference translated", domains[made[0]["company"]] == "c0002.example.com")

    print("deletes on both sides")
    kinto.call("DELETE", f"/buckets/crm/collections/people/records/{ids[three]}")
    daemon.sql("delete from people where email = ?", four)
    daemon.sync()
    claim("deleted there, deleted here", daemon.sql("select count(*) from people where email = ?", three) == [(0,)])
    claim("deleted here, deleted there", ids[four] not in kinto.all("people"))

    print("quiet again")
    before = kinto.state()
    claim("0 writes on either side", writes(daemon.sync()) == (0, 0))
    claim("Kinto saw none", kinto.state() == before)
    claim("the database is whole", daemon.sql("pragma integrity_check") == [("ok",)])
    local = {email for (email,) in daemon.sql("select email from people")}
    claim("both sides hold the same people", local == {record["email"] for record in kinto.all("people").values()})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinto", required=True)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rules", required=True)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="reconciled-kinto-")
    kinto = None
    try:
        kinto = Kinto(options.kinto, folder)
        seed(kinto)
        story(kinto, Daemon(options.binary, options.rules, folder, kinto))
        print("kinto interop: all claims hold")
    finally:
        if kinto:
            kinto.stop()
        shutil.rmtree(folder, ignore_errors=True)


main()
