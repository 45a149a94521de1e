"""One chat endpoint that speaks the OpenAI protocol: vLLM, llama.cpp, Ollama, LM Studio, hosted.

Rate limits, errors of the server and lost connections are tried again with growing pauses by the
`openai` package. A server that refuses a JSON schema is asked for JSON, then for text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bonafide.errors import BonafideError, InvalidInput, MissingExtra

RETRIES = 3
CHARACTERS_PER_TOKEN = 3.0  # an estimate on the safe side, where a server does not count
PICTURE_TOKENS = 1_500  # the same, for one picture
_FORMS = ("schema", "json", "text")


class EndpointError(BonafideError):
    """An endpoint gave no answer that can be used; the message is one sentence."""


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        text: what the model wrote.
        tokens_in, tokens_out: as counted by the server, else estimated.
        cut: whether it ended for want of tokens.
    """

    text: str
    tokens_in: int
    tokens_out: int
    cut: bool = False


@dataclass
class Endpoint:
    """An endpoint, with what was learnt of it.

    Attributes:
        url: of the API, ending in "/v1" as a rule.
        model: name under which the server knows it.
        key: sent as a bearer token; "" for servers that ask for none.
        timeout: of one request, seconds.
        form: how it can be asked for JSON: "schema", "json" or "text".
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 60.0
    form: str = "schema"

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(f"the address of the endpoint is not http(s)://…: {self.url!r}")

    @property
    def host(self) -> str:
        """Host and port, without anything secret that an address may hold."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def ask(
        self,
        messages: Sequence[dict[str, Any]],
        schema: dict[str, Any],
        *,
        seed: int,
        temperature: float,
        most: int,
    ) -> Reply:
        """Send a chat and return the answer.

        Args:
            messages: of the chat.
            schema: JSON schema of the answer.
            seed: for the sampling, where the server has one.
            temperature: of the sampling.
            most: tokens that the answer may have.

        Raises:
            EndpointError: no usable answer came.
            MissingExtra: the package openai is not installed.
        """
        openai = _package()
        client = openai.OpenAI(
            base_url=self.url,
            api_key=self.key or "none",
            timeout=self.timeout,
            max_retries=RETRIES,
        )
        try:
            while True:
                try:
                    return self._once(client, messages, schema, seed, temperature, most)
                except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                    # Some servers know no schemas; the next form asks for less.
                    if self.form == _FORMS[-1]:
                        raise EndpointError(_told(error)) from error
                    self.form = _FORMS[_FORMS.index(self.form) + 1]
        except openai.APITimeoutError as error:
            raise EndpointError(f"no answer within {self.timeout:g} seconds") from error
        except openai.APIConnectionError as error:
            raise EndpointError("it cannot be reached") from error
        except openai.APIStatusError as error:
            raise EndpointError(_told(error)) from error
        except openai.OpenAIError as error:
            raise EndpointError(f"{type(error).__name__}: {str(error)[:200]}") from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise EndpointError("it does not speak the protocol") from error
        finally:
            client.close()

    def _once(
        self,
        client: Any,
        messages: Sequence[dict[str, Any]],
        schema: dict[str, Any],
        seed: int,
        temperature: float,
        most: int,
    ) -> Reply:
        forms: dict[str, dict[str, Any]] = {
            "schema": {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "statements", "strict": True, "schema": schema},
                }
            },
            "json": {"response_format": {"type": "json_object"}},
            "text": {},
        }
        answer = client.chat.completions.create(
            model=self.model,
            messages=list(messages),
            temperature=temperature,
            seed=seed,
            max_tokens=most,
            stream=False,
            **forms[self.form],
        )
        choice = answer.choices[0]
        refusal = getattr(choice.message, "refusal", None)
        text = choice.message.content
        if refusal or not isinstance(text, str) or not text.strip():
            raise EndpointError("the model refused" if refusal else "the answer is empty")
        usage = answer.usage
        return Reply(
            text,
            _count(getattr(usage, "prompt_tokens", None), estimate(messages)),
            _count(
                getattr(usage, "completion_tokens", None),
                math.ceil(len(text) / CHARACTERS_PER_TOKEN),
            ),
            choice.finish_reason == "length",
        )


def estimate(messages: Sequence[dict[str, Any]]) -> int:
    """About how many tokens some messages have, rather more than fewer."""
    total = 0.0
    for message in messages:
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "text":
                total += len(part["text"]) / CHARACTERS_PER_TOKEN
            else:
                total += PICTURE_TOKENS
    return math.ceil(total)


def _count(counted: Any, estimated: int) -> int:
    return counted if isinstance(counted, int) and counted >= 0 else estimated


def _told(error: Any) -> str:
    status = getattr(error, "status_code", "an error")
    return (
        f"it answered {status} after {RETRIES + 1} tries"
        if status in (429, 500, 502, 503, 504)
        else (f"it answered {status}")
    )


def _package() -> Any:
    try:
        import openai
    except ImportError:
        raise MissingExtra("explain", "asking a model") from None
    return openai
