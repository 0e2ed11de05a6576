"""A current API server that knows custom resources only; unlike the cluster of the tests it enforces CEL rules."""

import importlib.util
import json
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
JOBS = "/apis/gmeta.dev/v1alpha1/namespaces/default/metatrainingjobs"
STRICT = "fieldValidation=Strict"
"""Refuse unknown fields, as kubectl asks for."""
DRY_RUN = "dryRun=All"


@dataclass(frozen=True)
class Answer:
    """What the server said.

    Attributes:
        code: HTTP status.
        body: the object as stored, or a Status object that says why not.
    """

    code: int
    body: Json

    @property
    def refusal(self) -> str:
        """Why the request was refused; empty where it was not."""
        return "" if self.code < 300 else str(self.body["message"])


class CrdServer:
    """Requests to the server, over one connection."""

    def __init__(self, connection: HTTPSConnection) -> None:
        self._connection = connection

    def call(self, method: str, path: str, body: Json | None = None) -> Answer:
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, {"Content-Type": "application/json"})
        with self._connection.getresponse() as answer:
            return Answer(answer.status, json.load(answer))

    def install(self, crd: Json) -> dict[str, str]:
        """Create the definition and wait until its objects are served; the status of each of its conditions."""
        made = self.call("POST", CRDS, crd)
        assert made.refusal == "", made.refusal
        deadline = time.monotonic() + 20
        while not self._serves(crd):
            assert time.monotonic() < deadline, json.dumps(self.definition(crd)["status"], indent=1)
            time.sleep(0.1)
        return {item["type"]: item["status"] for item in self.definition(crd)["status"]["conditions"]}

    def definition(self, crd: Json) -> Json:
        """The definition as the server keeps it."""
        return self.call("GET", f"{CRDS}/{crd['metadata']['name']}").body

    def _serves(self, crd: Json) -> bool:
        conditions = self.definition(crd).get("status", {}).get("conditions") or []
        established = any(item["type"] == "Established" and item["status"] == "True" for item in conditions)
        return established and self._listed()

    def _listed(self) -> bool:
        # Until the objects are served, the answer is a text and no JSON.
        self._connection.request("GET", JOBS)
        with self._connection.getresponse() as answer:
            answer.read()
            return answer.status == 200

    def try_create(self, manifest: Json) -> Answer:
        """What creating the object would answer; nothing is kept."""
        return self.call("POST", f"{JOBS}?{STRICT}&{DRY_RUN}", manifest)

    @contextmanager
    def kept(self, manifest: Json) -> Iterator[Json]:
        """An object that the server keeps for a while."""
        made = self.call("POST", f"{JOBS}?{STRICT}", manifest)
        assert made.refusal == "", made.refusal
        try:
            yield made.body
        finally:
            self.call("DELETE", f"{JOBS}/{made.body['metadata']['name']}")

    def try_replace(self, stored: Json, part: str = "") -> Answer:
        """What replacing an object, or a part such as `/status`, would answer; nothing is changed."""
        return self.call("PUT", f"{JOBS}/{stored['metadata']['name']}{part}?{STRICT}&{DRY_RUN}", stored)


@contextmanager
def crd_server(script: Path) -> Iterator[CrdServer]:
    """The server that `crd_check.py`, beside a cluster's control script, starts on a free port without root."""
    server = _crd_check(script.parent / "crd_check.py").Server()
    with ExitStack() as stack:
        with warnings.catch_warnings():
            # It leaves the closing of its log files to the interpreter.
            warnings.simplefilter("ignore", ResourceWarning)
            running = stack.enter_context(server)
        netloc = urlsplit(running.url).netloc
        yield CrdServer(stack.enter_context(closing(HTTPSConnection(netloc, context=running.tls, timeout=30))))


def _crd_check(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("crd_check", path)
    assert spec is not None, f"{path} is not a Python module"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
