"""A hub on loopback with the endpoints that huggingface_hub calls, which records every request."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """``branches`` maps a branch or tag to a commit, ``commits`` a commit to its files."""

    branches: dict[str, str]
    commits: dict[str, dict[str, bytes]]
    gated: bool = False


def commit_of(files: Mapping[str, bytes]) -> str:
    """A hash in the form of a Git commit."""
    digest = hashlib.sha1(usedforsecurity=False)
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name])
    return digest.hexdigest()


@dataclass
class Hub:
    """The server's contents and what was asked of it, as ``"METHOD path"`` without the query."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    user_agents: set[str] = field(default_factory=set)
    broken: bool = False

    def add(
        self, name: str, files: Mapping[str, bytes], *, revision: str = "main", gated: bool = False
    ) -> str:
        """Publish files as a branch; returns the commit."""
        repository = self.repositories.setdefault(name, Repository({}, {}, gated))
        commit = commit_of(files)
        repository.branches[revision] = commit
        repository.commits[commit] = dict(files)
        return commit

    def fetched(self) -> set[str]:
        """The files that were downloaded."""
        return {
            request.partition("/resolve/")[2].partition("/")[2]
            for request in self.requests
            if request.startswith("GET ") and "/resolve/" in request
        }

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """An environment that sends huggingface_hub here and nowhere else."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING")) and not name.lower().endswith("_proxy")
        }
        return {**kept, "HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", **more}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        self.hub.user_agents.add(self.headers.get("User-Agent", ""))
        if self.hub.broken:
            return self._send(500, b"")
        if path.startswith("/api/models/"):
            name, _, rest = self._split(path.removeprefix("/api/models/"))
        else:
            name, _, rest = self._split(path.removeprefix("/"))
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self._error(401, "RepoNotFound")
        kind, _, rest = rest.partition("/")
        revision, _, file = rest.partition("/")
        commit = repository.branches.get(revision or "main", revision)
        if commit not in repository.commits:
            return self._error(404, "RevisionNotFound")
        files = repository.commits[commit]
        if kind == "tree":
            return self._json([_entry(name, content) for name, content in sorted(files.items())])
        if kind == "resolve":
            # As on the real hub: anyone may list a gated repository, not download from it.
            if repository.gated:
                return self._error(403, "GatedRepo")
            if file not in files:
                return self._error(404, "EntryNotFound")
            return self._file(files[file], commit)
        return self._json({"id": name, "modelId": name, "sha": commit, "private": False, "siblings": []})

    @staticmethod
    def _split(path: str) -> tuple[str, str, str]:
        owner, _, rest = path.partition("/")
        repository, slash, rest = rest.partition("/")
        return f"{owner}/{repository}", slash, rest

    def _file(self, content: bytes, commit: str) -> None:
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range")
        if wanted:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self._send(206, content[start:], headers)
        return self._send(200, content, headers)

    def _json(self, document: object) -> None:
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Run a hub on a free port of loopback."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
