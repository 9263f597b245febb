"""What the double of Grafana holds, and the rules by which it takes, keeps and tells it."""
import glob
import json
import os
import re
import threading
import time

ENV = os.environ.get
VERSION = ENV("DOUBLE_VERSION", "11.6.0")
DATA = os.path.join(ENV("GF_PATHS_DATA", "/var/lib/grafana"), "double.json")
PASSWORD = DATA + ".password"
PROVISIONING = ENV("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning")
LOCK = threading.RLock()


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
            known = next((old["uid"] for old in STATE["datasources"].values() if old["name"] == one["name"]), None)
            put_datasource(one, known, not one.get("editable"))
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
