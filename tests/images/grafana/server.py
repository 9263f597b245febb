#!/usr/bin/env python3
"""A double of Grafana's HTTP API, for tests on machines that cannot pull the real image.

Taken from Grafana's documentation, "HTTP API reference" (pages dashboard, folder, data_source, folder_dashboard_search,
other/health, authentication) and "Provision Grafana" (data sources, dashboards):
  * dashboards are kept as they are sent but for `id`, `uid` and `version`; a save says which version it replaces, and gets
    412 `version-mismatch` when somebody else was faster; Grafana 9 also refuses a title twice in a folder, 412 `name-exists`
  * provisioned dashboards: 400 on a delete, and on a save unless their provider has `allowUiUpdates`; files are looked at
    every `updateIntervalSeconds`, taken when they differ from when they were last taken, and what has none any more is
    removed (`pkg/api/dashboard.go`, `pkg/services/provisioning/dashboards/file_reader.go`)
  * provisioned data sources: `readOnly`, 403, unless `editable`; found by name, and the start fails when the uid is taken by
    another name (`pkg/services/provisioning/datasources/datasources.go`)
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
import json
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import content
from content import ENV, LOCK, PASSWORD, STATE, VERSION, Refusal

USER = ENV("GF_SECURITY_ADMIN_USER", "admin")
ROLES = ["Viewer", "Editor", "Admin"]
WRITES, FAILED_LOGINS = [], []


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
    ("GET", r"/api/search/?", "Viewer", "", lambda r: content.search(r.query)),
    ("GET", r"/api/dashboards/uid/([^/]+)", "Viewer", "", lambda r: content.get_dashboard(r.uid)),
    ("POST", r"/api/dashboards/db/?", "Editor", "dashboards:write", lambda r: content.post_dashboard(r.body, r.role)),
    ("DELETE", r"/api/dashboards/uid/([^/]+)", "Editor", "dashboards:delete", lambda r: content.delete_dashboard(r.uid)),
    ("GET", r"/api/folders/?", "Viewer", "", lambda r: [
        {key: one[key] for key in ("id", "uid", "title")} for one in STATE["folders"].values() if not one["parentUid"]]),
    ("GET", r"/api/folders/([^/]+)", "Viewer", "", lambda r: content.get_folder(r.uid)),
    ("POST", r"/api/folders/?", "Editor", "folders:create", lambda r: content.put_folder(
        r.body.get("uid") or f"made{content.new_id():08d}", r.body.get("title"), r.body.get("parentUid") or "", True)),
    ("PUT", r"/api/folders/([^/]+)", "Editor", "folders:write", lambda r: content.update_folder(r.uid, r.body)),
    ("POST", r"/api/folders/([^/]+)/move", "Editor", "folders:write", lambda r: content.put_folder(
        r.uid, content.get_folder(r.uid)["title"], r.body.get("parentUid") or "", False)),
    ("DELETE", r"/api/folders/([^/]+)", "Editor", "folders:delete", lambda r: content.delete_folder(r.uid)),
    ("GET", r"/api/datasources/?", "Admin", "datasources:read", lambda r: list(STATE["datasources"].values())),
    ("GET", r"/api/datasources/uid/([^/]+)", "Admin", "datasources:read", lambda r: content.datasource(r.uid)),
    ("POST", r"/api/datasources/?", "Admin", "datasources:create", lambda r: content.put_datasource(r.body)),
    ("PUT", r"/api/datasources/uid/([^/]+)", "Admin", "datasources:write", lambda r: content.put_datasource(r.body, r.uid)),
    ("DELETE", r"/api/datasources/uid/([^/]+)", "Admin", "datasources:delete", lambda r: content.delete_datasource(r.uid)),
    ("POST", r"/api/admin/provisioning/dashboards/reload", "Admin", "provisioning:reload", lambda r: content.provision_dashboards()),
    ("POST", r"/api/admin/provisioning/datasources/reload", "Admin", "provisioning:reload", lambda r: content.provision_datasources()),
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
                content.save()
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
    if sys.argv[1:]:
        assert sys.argv[1:] == ["cli", "admin", "reset-admin-password", "--password-from-stdin"], sys.argv
        assert os.path.exists(PASSWORD), "there is no database yet"
        content.write(PASSWORD, sys.stdin.read().strip())
        print("Admin password changed successfully")
        sys.exit()
    try:
        content.provision_datasources()
    except Refusal as refusal:
        sys.exit(f"Failed to start grafana. error: Datasource provisioning error: {refusal}")
    content.provision_dashboards()
    content.save()
    intervals = [p.get("updateIntervalSeconds") or 10 for file in content.files("dashboards") for p in file.get("providers") or []]
    if intervals:
        threading.Thread(target=content.look_at_files, args=(min(intervals),), daemon=True).start()
    server = ThreadingHTTPServer((ENV("GF_SERVER_HTTP_ADDR", ""), int(ENV("GF_SERVER_HTTP_PORT", "3000"))), Handler)
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container has no default for it
    print(f"HTTP Server Listen address={server.server_address[0]}:{server.server_address[1]}", flush=True)
    server.serve_forever()
