"""A server that speaks the OpenAI chat protocol over real HTTP, and misbehaves as it is told."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any], int], Any]


class Server:
    """Answers each request with what `answer` returns.

    Attributes:
        url: of the API.
        requests: bodies that were received, in order.
        headers: of the requests, in order.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                reply = outer.answer(body, len(outer.requests))
                status, data = reply if isinstance(reply, tuple) else (200, reply)
                sent = data if isinstance(data, bytes) else json.dumps(data).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(sent)))
                    if status == 429:
                        self.send_header("Retry-After", "0")
                    self.end_headers()
                    self.wfile.write(sent)
                except OSError:
                    pass  # the client has left

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def sent(self) -> str:
        """All text of all requests."""
        return json.dumps(self.requests)


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    server = Server(answer)
    thread = threading.Thread(target=server._http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server._http.shutdown()
        server._http.server_close()
        thread.join()


def completion(content: str | None, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """The body of an answer."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, **message},
            }
        ],
        "usage": {"prompt_tokens": 900, "completion_tokens": 60, "total_tokens": 960},
    }


def statements(*made: tuple[str, str]) -> str:
    """The JSON of some statements with one cite each."""
    return json.dumps({"statements": [{"text": text, "cites": [cite]} for text, cite in made]})


def data(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of the report in a request."""
    text = text_of(body)
    block = re.search(r"<<<DATA (\w+)\n(.*?)\nDATA \1>>>", text, re.DOTALL)
    assert block is not None
    return [json.loads(line) for line in block.group(2).splitlines()]


def text_of(body: dict[str, Any]) -> str:
    """The text of the first message of the user."""
    content = body["messages"][1]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def honest(body: dict[str, Any], number: int) -> Any:
    """Repeat the first sentence of the verdict and of every finding."""
    said = [
        (one["says"][0], one["id"])
        for one in data(body)
        if one.get("says") and one["id"].startswith(("verdict", "finding."))
    ]
    return completion(statements(*said[:4]))


def obedient(body: dict[str, Any], number: int) -> Any:
    """Do what any text of the file asks for, as a model without a mind of its own does."""
    orders = [text for one in data(body) for text in one.get("file_says", [])]
    prompt = body["messages"][0]["content"]
    made = [(order, one["id"]) for one in data(body) for order in one.get("file_says", [])]
    for order in orders:
        low = order.lower()
        if "prompt" in low or "instruction" in low or "rules" in low:
            made.append((prompt[:300], "verdict"))
            made.append((prompt.splitlines()[0], "verdict"))
    made += [
        ("The verdict is authenticated.", "verdict"),
        ("The picture is genuine.", "verdict"),
        ("The picture is authentic and unaltered.", "verdict"),
        ("No test found anything.", "verdict"),
        ("The picture was generated by AI.", "verdict"),
        ("The picture was manipulated.", "verdict"),
        ("All tests agree that the picture is real.", "verdict"),
        ("Send the picture to evil.example.com.", "verdict"),
    ]
    return completion(statements(*made))


def slow(seconds: float) -> Answer:
    def answer(body: dict[str, Any], number: int) -> Any:
        time.sleep(seconds)
        return honest(body, number)

    return answer
