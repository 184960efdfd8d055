"""Any endpoint that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, a paid API.

Samples are separate requests with seeds seed, seed+1, ...: several servers ignore ``n``, and those that know it
share the prompt's computation between requests anyway.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import reduce
from operator import add
from typing import Annotated, Final
from urllib.parse import urlsplit

import aiohttp
import stamina
from pydantic import BaseModel, Field, ValidationError

from judge.backends.base import Chat, Generation, PromptTooLong, Reply, Sampling, is_begun
from judge.errors import BackendError, BackendTimeout, ConfigError
from judge.types import Usage

CONNECT_TIMEOUT_S: Final = 10.0
ATTEMPTS: Final = 4
MAX_RETRY_AFTER_S: Final = 60.0
"""An endpoint that asks for a longer pause counts as unavailable."""
MAX_REPLY_BYTES: Final = 4 * 2**20
RETRYABLE_STATUS: Final = frozenset({429, 500, 502, 503, 504})

Count = Annotated[int, Field(ge=0)]


class WireMessage(BaseModel):
    """The assistant's turn; without content when the model only thought, or refused."""

    content: str | None = None


class WireChoice(BaseModel):
    """One continuation."""

    message: WireMessage
    finish_reason: str | None = None


class WireUsage(BaseModel):
    """Tokens of one request."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0


class WireReply(BaseModel):
    """The parts of a chat completion that are read here."""

    choices: list[WireChoice] = Field(min_length=1)
    usage: WireUsage | None = None


class RetryLater(BackendError):
    """A failure that may pass; `after_s` is the pause that the endpoint asked for."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message, retryable=True)
        self.after_s = after_s


class OpenAIBackend:
    """Asks an endpoint, with bounded concurrency, retries and time-outs. Belongs to one event loop."""

    def __init__(
        self, *, base_url: str, model: str, api_key_env: str = "", timeout_s: float = 600.0, max_concurrency: int = 16
    ) -> None:
        """Check the settings; connects at the first request.

        Args:
            base_url: with the version, e.g. ``http://127.0.0.1:8000/v1``.
            api_key_env: name of the environment variable that holds the key; empty for none.
            timeout_s: for one attempt at one request, its answer read to the end.

        Raises:
            ConfigError: when the environment variable is not set, or the URL is none of HTTP.
        """
        if not _is_http(base_url):
            raise ConfigError(
                f"base_url {base_url!r}: an address with http:// or https:// is needed, such as http://127.0.0.1:8000/v1"
            )
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._headers = {"Accept-Encoding": "identity"} | authorization(api_key_env)
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(max_concurrency)
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        """The model's name at the endpoint. The address is left out: it changes while the model stays."""
        return f"openai:{self._model}"

    async def generate(self, chats: Sequence[Chat], sampling: Sampling) -> list[Reply]:
        """One reply per chat, in order; a chat whose samples did not all arrive carries the error."""
        return list(await asyncio.gather(*(self._reply(chat, sampling) for chat in chats)))

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _reply(self, chat: Chat, sampling: Sampling) -> Reply:
        start = time.monotonic()
        samples = await asyncio.gather(*(self._sample(chat, sampling, k) for k in range(sampling.num_samples)))
        usage = reduce(add, (sample.usage for sample in samples), Usage())
        error = next((sample.error for sample in samples if sample.error is not None), None)
        generations = () if error else tuple(generation for sample in samples for generation in sample.generations)
        return Reply(generations, usage, error, time.monotonic() - start)

    async def _sample(self, chat: Chat, sampling: Sampling, index: int) -> Reply:
        body: dict[str, object] = {
            "model": self._model,
            "messages": list(chat),
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed + index,
        }
        if is_begun(chat):  # known to vLLM and SGLang
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        num_calls = 0
        try:
            async with self._slots:
                async for attempt in stamina.retry_context(on=pause, attempts=ATTEMPTS, timeout=None):
                    with attempt:
                        num_calls += 1
                        wire = await self._post(body)
        except BackendError as error:
            return Reply(usage=Usage(calls=num_calls), error=error)
        choice, tokens = wire.choices[0], wire.usage or WireUsage()
        return Reply(
            (Generation(choice.message.content or "", choice.finish_reason or "stop"),),
            Usage(tokens.prompt_tokens, tokens.completion_tokens, num_calls),
        )

    async def _post(self, body: dict[str, object]) -> WireReply:
        """One attempt."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # the semaphore is the limit
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
                headers=self._headers,
                auto_decompress=False,
            )
        try:
            # A redirect would carry the key and the prompt to another address.
            async with self._session.post(self._url, json=body, allow_redirects=False) as response:
                payload = await read_bounded(response)
                if response.status != 200:
                    raise status_error(self._url, response, payload)
        except aiohttp.ConnectionTimeoutError:
            raise RetryLater(f"{self._url}: no connection within {CONNECT_TIMEOUT_S:g} s") from None
        except TimeoutError:
            raise BackendTimeout(f"{self._url}: no answer within timeout_s = {self._timeout_s:g}") from None
        except aiohttp.ClientConnectorError as error:
            raise RetryLater(f"{self._url}: cannot connect: {error.strerror}") from None
        except aiohttp.ClientError as error:
            raise RetryLater(f"{self._url}: {error or type(error).__name__}") from None
        try:
            return WireReply.model_validate_json(payload)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "body"
            raise BackendError(f"{self._url}: not a chat completion ({where}: {first['msg']})") from None


def _is_http(url: str) -> bool:
    try:
        address = urlsplit(url)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


def authorization(api_key_env: str) -> dict[str, str]:
    """The header that carries the key; the key itself appears nowhere else."""
    if not api_key_env:
        return {}
    key = os.environ.get(api_key_env, "").strip()
    if not key:
        raise ConfigError(f"api_key_env = '{api_key_env}': this environment variable is not set")
    return {"Authorization": f"Bearer {key}"}


def pause(error: Exception) -> bool | float:
    """Whether to try again: at once by stamina's jittered schedule (True), or after so many seconds."""
    if not isinstance(error, RetryLater):
        return False
    if error.after_s is None:
        return True
    return error.after_s if error.after_s <= MAX_RETRY_AFTER_S else False


async def read_bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body, or an error as soon as it is longer than `MAX_REPLY_BYTES`."""
    payload = bytearray()
    async for chunk in response.content.iter_any():
        payload += chunk
        if len(payload) > MAX_REPLY_BYTES:
            response.close()
            raise BackendError(f"{response.url}: the answer is longer than {MAX_REPLY_BYTES} bytes")
    return bytes(payload)


def status_error(url: str, response: aiohttp.ClientResponse, payload: bytes) -> BackendError:
    """What a status other than 200 means; quotes the start of the answer."""
    said = " ".join(payload[:300].decode(errors="replace").split())
    message = f"{url}: HTTP {response.status}: {said}"
    if response.status in RETRYABLE_STATUS:
        return RetryLater(message, retry_after(response.headers.get("Retry-After")))
    if response.status == 400 and b"context" in payload and b"length" in payload:
        return PromptTooLong(message)
    if response.status in (401, 403):
        return BackendError(f"{message} (set api_key_env to the name of the variable that holds a valid key)")
    if response.status == 404:
        return BackendError(f"{message} (check model, and that base_url ends with the version, usually /v1)")
    return BackendError(message)


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number or a date; None when there is none that can be read."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    now = datetime.now(UTC)
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp())
