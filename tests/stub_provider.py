"""A small OpenAI-compatible server on 127.0.0.1 that answers at once, slowly, or with errors, and counts.

    with StubProvider() as stub:
        designer = DataDesigner(model_providers=[stub.provider()], ...)
        ...
        assert stub.count("say hello") == 3

`reply` makes the answer of a prompt: a text, or an int to answer with that HTTP status. Requests are counted by the
text of their last user message; the health check of Data Designer says "Hello!".
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HEALTH_CHECK = "Hello!"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class StubProvider:
    """The server; `delay` in seconds is slept before each answer that is no health check."""

    def __init__(self, reply: Callable[[str], str | int] | None = None, *, delay: float = 0.0) -> None:
        self.reply = reply or (lambda prompt: f"reply to {prompt}")
        self.delay = delay
        self.prompts: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.most_at_once = 0
        self.released = threading.Event()
        self._now = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> StubProvider:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def requests(self) -> int:
        """How many requests came in, health checks left out."""
        with self._lock:
            return sum(self.prompts.values()) - self.prompts[HEALTH_CHECK]

    @property
    def under_way(self) -> int:
        """How many requests wait for their answer."""
        return self._now

    @property
    def health_checks(self) -> int:
        return self.prompts[HEALTH_CHECK]

    def hang(self) -> str:
        """Wait until the server is closed: a reply for a model that never answers."""
        self.released.wait(60)
        return "late"

    def count(self, prompt: str) -> int:
        return self.prompts[prompt]

    def provider(self, name: str = "stub", **fields: Any) -> Any:
        from data_designer.config.models import ModelProvider

        return ModelProvider(name=name, endpoint=self.endpoint, api_key="sk-stub-0123456789", **fields)

    def model(self, alias: str = "writer", *, model: str = "stub-model", provider: str = "stub", **fields: Any) -> Any:
        from data_designer.config.models import ModelConfig

        return ModelConfig(alias=alias, model=model, provider=provider, **fields)

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        prompt = _last_text(body)
        with self._lock:
            self.prompts[prompt] += 1
            self.bodies.append(body)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            if prompt != HEALTH_CHECK and self.delay:
                self.released.wait(self.delay)
            reply = self.reply(prompt)
        finally:
            with self._lock:
                self._now -= 1
        if isinstance(reply, int):
            return reply, {"error": {"message": f"status {reply} for {prompt}", "type": "stub", "code": reply}}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        if path.endswith("/embeddings"):
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [{"object": "embedding", "index": i, "embedding": [0.1, float(len(t))]} for i, t in enumerate(texts)]
            return 200, {"object": "list", "data": data, "model": body["model"], "usage": usage}
        if path.endswith("/images/generations"):
            return 200, {"created": int(time.time()), "data": [{"b64_json": base64.b64encode(PIXEL).decode()}]}
        message = {"role": "assistant", "content": reply}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "stub", "object": "chat.completion", "created": int(time.time()), "model": body["model"]}
        return 200, answer | {"choices": [choice], "usage": usage}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    stub: StubProvider


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.server.stub._answer(self.path, body)
        data = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def _last_text(body: dict[str, Any]) -> str:
    if "messages" not in body:
        value = body.get("prompt", body.get("input", ""))
        return value if isinstance(value, str) else " ".join(value)
    content = next((m["content"] for m in reversed(body["messages"]) if m["role"] == "user"), "")
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)
