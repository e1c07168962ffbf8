"""A stand-in of the hub on loopback: the requests that `datasets` and `huggingface_hub` make of it, counted, with faults on order."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_ROUTES = {
    "info": re.compile(r"/api/(datasets|models)/(?P<name>[^/]+/[^/]+)(/revision/(?P<revision>[^/]+))?"),
    "tree": re.compile(r"/api/datasets/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)(/(?P<path>.*))?"),
    "paths": re.compile(r"/api/datasets/(?P<name>[^/]+/[^/]+)/paths-info/(?P<revision>[^/]+)"),
    "file": re.compile(r"(/datasets)?/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
}


@dataclass
class Hub:
    """What the stand-in serves and has seen: files by path by repository; refusals by repository and by file; drops by path."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    refused_files: dict[str, int] = field(default_factory=dict)
    drops: Counter[str] = field(default_factory=Counter)
    requests: list[str] = field(default_factory=list)
    bytes_served: Counter[str] = field(default_factory=Counter)
    address: str = ""

    def environment(self, home: Path, **others: str) -> dict[str, str]:
        """Return the variables under which the clients use this hub, with caches below `home`."""
        return {"HF_ENDPOINT": self.address, "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", **others}


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a stand-in on a free port of 127.0.0.1 until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_GET

    def _answer(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path} {self.headers.get('Range') or ''}".rstrip())
        length = int(self.headers.get("Content-Length") or 0)
        body, path = self.rfile.read(length), unquote(urlsplit(self.path).path)
        for kind, route in _ROUTES.items():
            if match := route.fullmatch(path):
                fields = match.groupdict()
                if code := self._refusal(fields["name"]):
                    self._refuse(code)
                else:
                    getattr(self, f"_{kind}")(self.hub.repositories[fields["name"]], fields, body)
                return
        self._refuse(404)

    def _refusal(self, name: str) -> int | None:
        return self.hub.refused.get(name) or (None if name in self.hub.repositories else 404)

    def _refuse(self, code: int, error: str = "RepoNotFound") -> None:
        self._send(code, b'{"error": "refused"}', {"X-Error-Code": error} if code == 404 else {})

    def _info(self, files: dict[str, bytes], fields: dict[str, str], body: bytes) -> None:
        siblings = [{"rfilename": path} for path in sorted(files)]
        self._json(
            {
                "_id": "1",
                "id": fields["name"],
                "sha": COMMIT,
                "private": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": siblings,
            }
        )

    def _tree(self, files: dict[str, bytes], fields: dict[str, str], body: bytes) -> None:
        folder = f"{fields['path']}/" if fields["path"] else ""
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
        entries: dict[str, dict[str, object]] = {}
        for path in sorted(files):
            if path.startswith(folder):
                head, slash, _ = path[len(folder) :].partition("/")
                if slash:
                    entries[folder + head] = {"type": "directory", "oid": "d" * 40, "size": 0, "path": folder + head}
                if recursive or not slash:
                    entries[path] = _entry(path, files[path])
        self._json(list(entries.values()))

    def _paths(self, files: dict[str, bytes], fields: dict[str, str], body: bytes) -> None:
        try:
            asked = json.loads(body)["paths"]
        except ValueError:
            asked = parse_qs(body.decode()).get("paths", [])
        found = [_entry(path, files[path]) for path in asked if path in files]
        folders = [path for path in asked if path not in files and any(fnmatchcase(name, f"{path}/*") for name in files)]
        self._json(found + [{"type": "directory", "oid": "d" * 40, "size": 0, "path": path} for path in folders])

    def _file(self, files: dict[str, bytes], fields: dict[str, str], body: bytes) -> None:
        path = fields["path"]
        if code := self.hub.refused_files.get(f"{fields['name']}/{path}"):
            self._refuse(code, "EntryNotFound")
            return
        if path not in files:
            self._refuse(404, "EntryNotFound")
            return
        content = files[path]
        headers = {"ETag": f'"{sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        code, piece = 200, content
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(match[1]), int(match[2] or len(content) - 1)
            code, piece = 206, content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{first + len(piece) - 1}/{len(content)}"
        if self.command == "GET" and self.hub.drops[path] > 0:
            self.hub.drops[path] -= 1
            self._send(code, piece, headers, sent=len(piece) // 2)
            self.close_connection = True
            return
        self._send(code, piece, headers)
        if self.command == "GET":
            self.hub.bytes_served[path] += len(piece)

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, code: int, content: bytes, headers: dict[str, str], sent: int | None = None) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:sent])


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {
        "type": "file",
        "oid": sha1(content).hexdigest(),
        "size": len(content),
        "path": path,
        "lfs": {"oid": sha256(content).hexdigest(), "size": len(content), "pointerSize": 130},
    }
