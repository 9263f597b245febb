#!/usr/bin/env python3
"""A double of Grafana's HTTP API, for tests on machines that cannot pull the real image.

Taken from Grafana's documentation, "HTTP API reference" (pages dashboard, folder, data_source, folder_dashboard_search,
other/health, authentication) and "Provision Grafana" (data sources, dashboards):
  * dashboards are kept as they are sent but for `id`, `uid` and `version`; a save says which version it replaces, and gets
    412 `version-mismatch` when somebody else was faster; Grafana 9 also refuses a title twice in a folder, 412 `name-exists`
  * provisioned dashboards: 400 on a delete, and on a save unless their provider has `allowUiUpdates`; files are looked at
    every `updateIntervalSeconds`, taken when they differ from when they were last taken, and what has none any more is
    removed (`pkg/api/dashboard.go`, `pkg/services/provisioning/dashboards/file_reader.go`)
  * provisioned data sources: `readOnly`, 403, unless `editable`
  * folders have versions (412), titles that are unique among their siblings (409), and parents
  * search: `type`, `tag`, `query`, `limit`, `page`; it tells no version
  * the admin's password is taken from the environment at the first start only; five wrong ones lock the user for 5 minutes;
    `admin reset-admin-password --password-from-stdin` ("Grafana CLI") sets it in the database of a server that runs
  * viewers read, editors write dashboards and folders, admins write data sources
Not here: users, organisations, teams, fine permissions, library panels, alerts, plugins, any page for people, queries to
data sources, versions' history, quotas, the apis below /apis/. Provisioning files have to be JSON, which is YAML; lines
that begin with # are comments.

GF_SECURITY_ADMIN_USER, GF_SECURITY_ADMIN_PASSWORD[__FILE], GF_PATHS_DATA, GF_PATHS_PROVISIONING, GF_SERVER_HTTP_ADDR and
GF_SERVER_HTTP_PORT mean what they mean to Grafana. Its own: DOUBLE_VERSION, and DOUBLE_TOKENS, a file with a line
`TOKEN Viewer|Editor|Admin` for each service account token. GET /double/writes lists the writes that were accepted.
"""
import base64
import glob
import json
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

ENV = os.environ.get
VERSION = ENV("DOUBLE_VERSION", "11.6.0")
DATA = os.path.join(ENV("GF_PATHS_DATA", "/var/lib/grafana"), "double.json")
PASSWORD = DATA + ".password"
PROVISIONING = ENV("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning")
USER = ENV("GF_SECURITY_ADMIN_USER", "admin")
ROLES = ["Viewer", "Editor", "Admin"]
LOCK = threading.RLock()
WRITES, FAILED_LOGINS = [], []


class Refusal(Exception):
    def __init__(self, code, message, **more):
        super().__init__(message)
        self.code, self.body = code, {"message": message, **more}


def setting(name, default=""):
    path = ENV(name + "__FILE")
    return open(path, encoding="utf-8").read().strip() if path else ENV(name, default)


def load():
    if not os.path.exists(PASSWORD):
        write(PASSWORD, setting("GF_SECURITY_ADMIN_PASSWORD", "admin"))
    if os.path.exists(DATA):
        return json.load(open(DATA, encoding="utf-8"))
    return {"ids": 0, "folders": {}, "dashboards": {}, "datasources": {}}


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def save():
    write(DATA, json.dumps(STATE))


if sys.argv[1:]:
    assert sys.argv[1:] == ["cli", "admin", "reset-admin-password", "--password-from-stdin"], sys.argv
    assert os.path.exists(PASSWORD), "there is no database yet"
    write(PASSWORD, sys.stdin.read().strip())
    print("Admin password changed successfully")
    sys.exit()
STATE = load()


def new_id():
    STATE["ids"] += 1
    return STATE["ids"]


def slug(title):
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def check_uid(uid):
    if len(uid) > 40:
        raise Refusal(400, "uid too long, max 40 characters")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", uid):
        raise Refusal(400, "uid contains illegal characters")


# dashboards
def get_dashboard(uid):
    if uid not in STATE["dashboards"]:
        raise Refusal(404, "Dashboard not found")
    one = STATE["dashboards"][uid]
    folder = STATE["folders"].get(one["folder"])
    meta = {
        "type": "db", "canSave": True, "slug": slug(one["data"]["title"]), "url": f"/d/{uid}/{slug(one['data']['title'])}",
        "updated": one["updated"], "updatedBy": one["by"], "version": one["version"], "isFolder": False,
        "folderId": folder["id"] if folder else 0, "folderUid": one["folder"],
        "folderTitle": folder["title"] if folder else "General",
        "provisioned": bool(one["provisioned"]) and not one["editable"], "provisionedExternalId": one["provisioned"],
    }
    return {"meta": meta, "dashboard": {**one["data"], "version": one["version"]}}


def store_dashboard(data, folder, by, provisioned=None):
    old = STATE["dashboards"].get(data["uid"])
    kept = {key: old[key] if old else "" for key in ("provisioned", "editable", "taken")}
    version = old["version"] + 1 if old else 1
    data = {**data, "id": old["data"]["id"] if old else new_id(), "version": version}
    STATE["dashboards"][data["uid"]] = {
        "data": data, "folder": folder, "version": version, "by": by, **(provisioned or kept),
        "updated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return STATE["dashboards"][data["uid"]]


def post_dashboard(body, by):
    data = body.get("dashboard")
    if not isinstance(data, dict):
        raise Refusal(400, "bad request data")
    data["title"] = str(data.get("title") or "").strip()
    if not data["title"]:
        raise Refusal(400, "Dashboard title cannot be empty", status="empty-name")
    with_id = [one for one in STATE["dashboards"].values() if data.get("id") and one["data"]["id"] == data["id"]]
    if data.get("id") and not with_id:
        raise Refusal(404, "Dashboard not found", status="not-found")
    data["uid"] = data.get("uid") or (with_id[0]["data"]["uid"] if with_id else f"made{new_id():08d}")
    check_uid(data["uid"])
    folder = body.get("folderUid") or ""
    if folder and folder not in STATE["folders"]:
        raise Refusal(400, "folder not found")
    old, overwrite = STATE["dashboards"].get(data["uid"]), body.get("overwrite") is True
    if old and old["provisioned"] and not old["editable"]:
        raise Refusal(400, "Cannot save provisioned dashboard")
    if old and (data.get("version") or 0) != old["version"] and not overwrite:
        raise Refusal(412, "The dashboard has been changed by someone else", status="version-mismatch")
    twins = [uid for uid, one in STATE["dashboards"].items()
             if uid != data["uid"] and one["folder"] == folder and slug(one["data"]["title"]) == slug(data["title"])]
    if twins and VERSION.startswith("9."):
        if not overwrite:
            message = "A dashboard with the same name in the folder already exists"
            raise Refusal(412, message, status="name-exists")
        data["uid"] = twins[0]  # what overwrite does in Grafana 9: the other dashboard's content is replaced
    one = store_dashboard(data, folder, by)
    return {"folderUid": folder, "id": one["data"]["id"], "slug": slug(data["title"]), "status": "success",
            "uid": data["uid"], "url": f"/d/{data['uid']}/{slug(data['title'])}", "version": one["version"]}


def delete_dashboard(uid):
    title = get_dashboard(uid)["dashboard"]["title"]
    if STATE["dashboards"][uid]["provisioned"]:
        raise Refusal(400, "provisioned dashboard cannot be deleted")
    del STATE["dashboards"][uid]
    return {"title": title, "message": f"Dashboard {title} deleted", "uid": uid}


def search(query):
    first = lambda name, default="": query.get(name, [default])[0]
    limit, page = min(int(first("limit", "1000")), 5000), max(int(first("page", "1")), 1)
    hits = []
    if first("type", "dash-folder") == "dash-folder" and not query.get("tag"):
        hits += [{"id": f["id"], "uid": f["uid"], "title": f["title"], "type": "dash-folder", "tags": [], "isStarred": False,
                  "url": f"/dashboards/f/{f['uid']}/{slug(f['title'])}"} for f in STATE["folders"].values()]
    if first("type", "dash-db") == "dash-db":
        for uid, one in STATE["dashboards"].items():
            tags, folder = one["data"].get("tags") or [], STATE["folders"].get(one["folder"])
            if all(tag in tags for tag in query.get("tag", [])):
                hits.append({"id": one["data"]["id"], "uid": uid, "title": one["data"]["title"], "type": "dash-db", "tags": tags,
                             "isStarred": False, "url": f"/d/{uid}/{slug(one['data']['title'])}",
                             **({"folderUid": folder["uid"], "folderTitle": folder["title"]} if folder else {})})
    hits = sorted((hit for hit in hits if first("query").lower() in hit["title"].lower()), key=lambda hit: hit["title"])
    return hits[(page - 1) * limit:page * limit]


# folders
def get_folder(uid):
    if uid not in STATE["folders"]:
        raise Refusal(404, "folder not found", status="not-found")
    return STATE["folders"][uid]


def put_folder(uid, title, parent, is_new):
    if not title:
        raise Refusal(400, "folder title cannot be empty")
    if is_new and (uid in STATE["folders"] or uid in STATE["dashboards"]):
        raise Refusal(409, "a folder/dashboard with the same uid already exists")
    if any(f["title"] == title and f["parentUid"] == parent and f["uid"] != uid for f in STATE["folders"].values()):
        raise Refusal(409, "a folder with the same name already exists in the current location")
    old = STATE["folders"].get(uid, {"id": None, "version": 0})
    one = {"id": old["id"] or new_id(), "uid": uid, "title": title, "parentUid": parent, "version": old["version"] + 1,
           "url": f"/dashboards/f/{uid}/{slug(title)}"}
    STATE["folders"][uid] = one
    return one


def update_folder(uid, body):
    old = get_folder(uid)
    if body.get("overwrite") is not True and body.get("version") != old["version"]:
        raise Refusal(412, "the folder has been changed by someone else", status="version-mismatch")
    return put_folder(uid, body.get("title") or old["title"], old["parentUid"], False)


def delete_folder(uid):
    get_folder(uid)
    del STATE["folders"][uid]
    STATE["dashboards"] = {k: one for k, one in STATE["dashboards"].items() if one["folder"] != uid}
    return {"message": "Folder deleted"}


# data sources
def datasource(uid):
    if uid not in STATE["datasources"]:
        raise Refusal(404, "Data source not found")
    return STATE["datasources"][uid]


def put_datasource(body, uid=None, read_only=False):
    if not body.get("name") or not body.get("type"):
        raise Refusal(400, "bad request data")
    old = datasource(uid) if uid else None
    new_uid = body.get("uid") or uid or f"made{new_id():08d}"
    check_uid(new_uid)
    others = [one for one in STATE["datasources"].values() if one is not old]
    wrong = "Failed to update datasource: " if old else ""
    if old and old["readOnly"] and not read_only:
        raise Refusal(403, "Cannot update read-only data source")
    if any(one["name"] == body["name"] for one in others):
        raise Refusal(409, wrong + "data source with the same name already exists")
    if any(one["uid"] == new_uid for one in others):
        raise Refusal(409, wrong + "data source with the same uid already exists")
    if old and body.get("version") and body["version"] < old["version"]:
        raise Refusal(409, "Datasource has already been updated by someone else. Please reload and try again")
    text = lambda key: body.get(key) or ""
    secrets = {**(old["secureJsonFields"] if old else {}), **{key: True for key in body.get("secureJsonData") or {}}}
    one = {"id": old["id"] if old else new_id(), "uid": new_uid, "orgId": 1, "name": body["name"], "type": body["type"],
           "typeLogoUrl": "", "access": text("access") or "proxy", "url": text("url"), "user": text("user"),
           "database": text("database"), "basicAuth": body.get("basicAuth") is True, "basicAuthUser": text("basicAuthUser"),
           "withCredentials": body.get("withCredentials") is True, "isDefault": body.get("isDefault") is True,
           "jsonData": body.get("jsonData") or None, "secureJsonFields": secrets,
           "version": old["version"] + 1 if old else 1, "readOnly": read_only}
    if one["isDefault"]:
        for other in others:
            other["isDefault"] = False
    if old:
        del STATE["datasources"][uid]
    STATE["datasources"][new_uid] = one
    return {"datasource": one, "id": one["id"], "name": one["name"], "message": f"Datasource {'updated' if old else 'added'}"}


def delete_datasource(uid):
    if datasource(uid)["readOnly"]:
        raise Refusal(403, "Cannot delete read-only data source")
    return {"message": "Data source deleted", "id": STATE["datasources"].pop(uid)["id"]}


# provisioning
def files(what):
    for path in sorted(glob.glob(f"{PROVISIONING}/{what}/*.y*ml")):
        lines = open(path, encoding="utf-8").read().replace("$$", "$").splitlines()
        yield json.loads("\n".join(line for line in lines if not line.startswith("#")))


def provision_datasources():
    for file in files("datasources"):
        for one in file.get("datasources") or []:
            one["uid"] = one.get("uid") or slug(one["name"])
            put_datasource(one, one["uid"] if one["uid"] in STATE["datasources"] else None, not one.get("editable"))
    return {"message": "Datasources config reloaded"}


def provision_dashboards():
    found = set()
    for provider in (p for file in files("dashboards") for p in file.get("providers") or []):
        folder = provider.get("folderUid") or (slug(provider["folder"]) if provider.get("folder") else "")
        if folder and folder not in STATE["folders"]:
            put_folder(folder, provider.get("folder") or folder, "", True)
        for path in sorted(glob.glob(provider["options"]["path"] + "/*.json")):
            text = open(path, encoding="utf-8").read()
            data = json.loads(text)
            data["uid"] = data.get("uid") or slug(data["title"])
            found.add(data["uid"])
            old = STATE["dashboards"].get(data["uid"])
            if not old or old["taken"] != text:
                name, editable = os.path.basename(path), provider.get("allowUiUpdates") is True
                store_dashboard(data, folder, "Anonymous", {"provisioned": name, "editable": editable, "taken": text})
    for uid in [uid for uid, one in STATE["dashboards"].items() if one["provisioned"] and uid not in found]:
        del STATE["dashboards"][uid]
    return {"message": "Dashboards config reloaded"}


def look_at_files(interval):
    while True:
        time.sleep(interval)
        with LOCK:
            try:
                provision_dashboards()
                save()
            except (OSError, ValueError) as error:  # half of a file, or a file that is going
                print(f"provisioning failed: {error}", flush=True)


# the server
def unauthorized(message, message_id):
    return Refusal(401, message, messageId=message_id, statusCode=401, traceID="")


def role_of(header):
    """The role of who sends an Authorization header."""
    scheme, _, value = (header or "").partition(" ")
    if scheme == "Bearer":
        path = ENV("DOUBLE_TOKENS")
        tokens = dict(line.split() for line in open(path, encoding="utf-8") if line.strip()) if path else {}
        if value not in tokens:
            raise unauthorized("Invalid API key", "api-key.invalid")
        return tokens[value]
    if scheme != "Basic":
        raise unauthorized("Unauthorized", "session.token.missing")
    FAILED_LOGINS[:] = [at for at in FAILED_LOGINS if at > time.time() - 300]
    if len(FAILED_LOGINS) >= 5 or base64.b64decode(value).decode() != f"{USER}:{open(PASSWORD, encoding='utf-8').read()}":
        FAILED_LOGINS.append(time.time())
        raise unauthorized("Invalid username or password", "password-auth.failed")
    return "Admin"


ROUTES = [  # method, path, the least role, what permission is named when it is missing, what is done
    ("GET", r"/api/search/?", "Viewer", "", lambda r: search(r.query)),
    ("GET", r"/api/dashboards/uid/([^/]+)", "Viewer", "", lambda r: get_dashboard(r.uid)),
    ("POST", r"/api/dashboards/db/?", "Editor", "dashboards:write", lambda r: post_dashboard(r.body, r.role)),
    ("DELETE", r"/api/dashboards/uid/([^/]+)", "Editor", "dashboards:delete", lambda r: delete_dashboard(r.uid)),
    ("GET", r"/api/folders/?", "Viewer", "", lambda r: [
        {key: one[key] for key in ("id", "uid", "title")} for one in STATE["folders"].values() if not one["parentUid"]]),
    ("GET", r"/api/folders/([^/]+)", "Viewer", "", lambda r: get_folder(r.uid)),
    ("POST", r"/api/folders/?", "Editor", "folders:create", lambda r: put_folder(
        r.body.get("uid") or f"made{new_id():08d}", r.body.get("title"), r.body.get("parentUid") or "", True)),
    ("PUT", r"/api/folders/([^/]+)", "Editor", "folders:write", lambda r: update_folder(r.uid, r.body)),
    ("POST", r"/api/folders/([^/]+)/move", "Editor", "folders:write", lambda r: put_folder(
        r.uid, get_folder(r.uid)["title"], r.body.get("parentUid") or "", False)),
    ("DELETE", r"/api/folders/([^/]+)", "Editor", "folders:delete", lambda r: delete_folder(r.uid)),
    ("GET", r"/api/datasources/?", "Admin", "datasources:read", lambda r: list(STATE["datasources"].values())),
    ("GET", r"/api/datasources/uid/([^/]+)", "Admin", "datasources:read", lambda r: datasource(r.uid)),
    ("POST", r"/api/datasources/?", "Admin", "datasources:create", lambda r: put_datasource(r.body)),
    ("PUT", r"/api/datasources/uid/([^/]+)", "Admin", "datasources:write", lambda r: put_datasource(r.body, r.uid)),
    ("DELETE", r"/api/datasources/uid/([^/]+)", "Admin", "datasources:delete", lambda r: delete_datasource(r.uid)),
    ("POST", r"/api/admin/provisioning/dashboards/reload", "Admin", "provisioning:reload", lambda r: provision_dashboards()),
    ("POST", r"/api/admin/provisioning/datasources/reload", "Admin", "provisioning:reload", lambda r: provision_datasources()),
]


class Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1

    def answer(self):
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path == "/api/health":
            return {"commit": "double", "database": "ok", "version": VERSION}
        if url.path == "/double/writes":
            return WRITES
        self.role = role_of(self.headers.get("Authorization"))
        for method, path, least, permission, do in ROUTES:
            match = re.fullmatch(path, url.path)
            if not match or method != self.command:
                continue
            if ROLES.index(self.role) < ROLES.index(least):
                message = f"You'll need additional permissions to perform this action. Permissions needed: {permission}"
                raise Refusal(403, message, accessErrorId="ACE0000000000", title="Access denied")
            self.uid = unquote(match.group(1)) if match.groups() else ""
            try:
                self.body = json.loads(sent or b"{}")
            except ValueError:
                raise Refusal(400, "bad request data") from None
            done = do(self)
            if method != "GET":
                WRITES.append(f"{method} {url.path}")
                save()
            return done
        raise Refusal(404, "Not found")

    def handle_one(self):
        with LOCK:
            try:
                status, body = 200, self.answer()
            except Refusal as refusal:
                status, body = refusal.code, refusal.body
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = handle_one

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    provision_datasources()
    provision_dashboards()
    save()
    intervals = [p.get("updateIntervalSeconds") or 10 for file in files("dashboards") for p in file.get("providers") or []]
    if intervals:
        threading.Thread(target=look_at_files, args=(min(intervals),), daemon=True).start()
    server = ThreadingHTTPServer((ENV("GF_SERVER_HTTP_ADDR", ""), int(ENV("GF_SERVER_HTTP_PORT", "3000"))), Handler)
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container has no default for it
    print(f"HTTP Server Listen address={server.server_address[0]}:{server.server_address[1]}", flush=True)
    server.serve_forever()
