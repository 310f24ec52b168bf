"""A small hub on loopback: the calls that huggingface_hub makes to list a repository and to fetch its files.

It can be told to break: to close a connection in the middle, to lack a file that it lists, to want a token. All that
was asked is in its log.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".ckpt", ".pt")  # what a repository keeps outside git, with a SHA-256


@dataclass(frozen=True)
class Asked:
    """A request. name: of the file, empty for the list of files."""

    method: str
    path: str
    name: str
    headers: dict[str, str]


@dataclass
class Repository:
    """Commits, what they hold, and which of them the branches are."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    refuses: str = "RepoNotFound"  # what somebody without the token hears

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        digest = hashlib.sha1(branch.encode())
        for name, content in sorted(files.items()):
            digest.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
        number = digest.hexdigest()
        self.commits[number] = dict(files)
        self.branches[branch] = number
        return number


@dataclass
class Hub:
    """The server, its repositories and its faults."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    log: list[Asked] = field(default_factory=list)
    cuts: dict[str, list[int]] = field(default_factory=dict)  # name -> after how many bytes to hang up, time by time
    fails: dict[str, list[int]] = field(default_factory=dict)  # name -> statuses to answer GET with, after the cuts
    stalls: dict[str, int] = field(default_factory=dict)  # name -> after how many bytes to say no more
    lacks: set[str] = field(default_factory=set)  # names that are listed, and not there
    garbles: set[str] = field(default_factory=set)  # names whose bytes arrive changed
    ranges: bool = True
    portal: bytes = b""  # what a network that wants a login first answers to everything
    storage: Hub | None = None  # another host, which has the large files

    def fetched(self) -> list[str]:
        """The names of the files that were sent, in order."""
        return [asked.name for asked in self.log if asked.method == "GET" and asked.name]


def blob_of(content: bytes, name: str) -> str:
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        if self.hub.portal:
            return self.say(200, content=self.hub.portal, Content_Type="text/html")
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "models"] and parts[4:5] == ["tree"]:
            return self.list_tree("/".join(parts[2:4]), parts[5])
        if parts[:2] == ["api", "models"]:
            return self.list_files("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
        if len(parts) > 4 and parts[2] == "resolve":
            return self.give_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        return self.say(404)

    def say(self, status: int, error: str = "", content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        if error:
            headers |= {"X-Error-Code": error}
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def note(self, name: str = "") -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.log.append(Asked(self.command, self.path, name, headers))

    def open(self, owner_and_name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        repository = self.hub.repositories.get(owner_and_name)
        if repository is None:
            self.say(401, "RepoNotFound")
            return None
        if repository.token and self.headers.get("Authorization") != f"Bearer {repository.token}":
            self.say(403 if repository.refuses == "GatedRepo" else 401, repository.refuses)
            return None
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            self.say(404, "RevisionNotFound")
            return None
        return commit, repository.commits[commit]

    def list_files(self, owner_and_name: str, revision: str) -> None:
        self.note()
        if (opened := self.open(owner_and_name, revision)) is None:
            return
        commit, files = opened
        siblings = []
        for name, content in files.items():
            entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob_of(content, "")}
            if name.endswith(LARGE):
                entry["lfs"] = {"sha256": blob_of(content, name), "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        facts = {"id": owner_and_name, "modelId": owner_and_name, "sha": commit, "siblings": siblings}
        self.say(200, content=json.dumps(facts).encode(), Content_Type="application/json")

    def list_tree(self, owner_and_name: str, revision: str) -> None:
        """The list that `snapshot_download` asks for."""
        self.note()
        if (opened := self.open(owner_and_name, revision)) is None:
            return
        entries = [
            {"type": "file", "path": name, "size": len(content), "oid": blob_of(content, "")}
            for name, content in opened[1].items()
        ]
        self.say(200, content=json.dumps(entries).encode(), Content_Type="application/json")

    def give_file(self, owner_and_name: str, revision: str, name: str) -> None:
        self.note(name)
        if (opened := self.open(owner_and_name, revision)) is None:
            return None
        commit, files = opened
        if name not in files or name in self.hub.lacks:
            return self.say(404, "EntryNotFound", X_Repo_Commit=commit)
        content = files[name]
        headers = {"ETag": f'"{blob_of(content, name)}"', "X-Repo-Commit": commit}
        if self.hub.storage is not None and name.endswith(LARGE):
            headers = {"X-Repo-Commit": commit, "X-Linked-Size": str(len(content))}
            headers |= {"X-Linked-ETag": f'"{blob_of(content, name)}"', "Location": self.hub.storage.url + self.path}
            return self.say(302, **headers)
        return self.send(name, content, headers)

    def send(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        if self.command == "HEAD":
            self.send_response(200)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            return self.end_headers()
        cuts = self.hub.cuts.get(name)
        if not cuts and (fails := self.hub.fails.get(name)):
            return self.say(fails.pop(0))
        if name in self.hub.garbles:
            content = bytes(byte ^ 1 for byte in content)
        start, status = 0, 200
        if self.hub.ranges and (asked := self.headers.get("Range")):
            start, status = int(asked.removeprefix("bytes=").partition("-")[0]), 206
            headers |= {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content) - start)}.items():
            self.send_header(key, value)
        self.end_headers()
        end = cuts.pop(0) if cuts else len(content)
        if name in self.hub.stalls:
            self.wfile.write(content[start : self.hub.stalls[name]])
            self.wfile.flush()
            while name in self.hub.stalls:
                time.sleep(0.01)
            self.close_connection = True
            return None
        self.wfile.write(content[start:end])
        if end < len(content):
            self.wfile.flush()
            self.close_connection = True
        return None


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub with no repositories yet, on a free port of this machine."""
    handler = type("Bound", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield handler.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
