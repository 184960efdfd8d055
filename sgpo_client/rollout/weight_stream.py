"""Weights from the trainer to a server that fetches them over TCP; needs neither vLLM nor a GPU."""

from __future__ import annotations

import hmac
import secrets
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch

_TOKEN_BYTES: Final = 16
_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class WeightOffer:
    """Where weights can be fetched, and in which order they come; as JSON it is the body of vLLM's update request."""

    host: str
    port: int
    token: str
    """Hexadecimal; whoever connects must say it first."""
    names: list[str]
    dtypes: list[str]
    """As ``bfloat16``."""
    shapes: list[list[int]]


@contextmanager
def offered(weights: Mapping[str, torch.Tensor], host: str) -> Iterator[WeightOffer]:
    """Serve CPU tensors at a free port of ``host`` for as long as the block; several servers may fetch them."""
    token = secrets.token_bytes(_TOKEN_BYTES)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(_TIMEOUT_S)
            said = bytearray(_TOKEN_BYTES)
            _receive(self.request, memoryview(said))
            if hmac.compare_digest(said, token):
                for value in weights.values():
                    self.request.sendall(_bytes_of(value))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Whoever fetches meets the same error, and reports it."""

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield WeightOffer(
                host=host,
                port=server.server_address[1],
                token=token.hex(),
                names=list(weights),
                dtypes=[str(value.dtype).removeprefix("torch.") for value in weights.values()],
                shapes=[list(value.shape) for value in weights.values()],
            )
        finally:
            server.shutdown()
            thread.join()


def fetch(offer: WeightOffer) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and value of each offered weight, one at a time.

    Raises:
        OSError: when the trainer cannot be reached, or closes the connection too early.
    """
    with socket.create_connection((offer.host, offer.port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(bytes.fromhex(offer.token))
        for name, dtype, shape in zip(offer.names, offer.dtypes, offer.shapes, strict=True):
            value = torch.empty(shape, dtype=getattr(torch, dtype))
            _receive(connection, _bytes_of(value))
            yield name, value


def local_address(url_host: str, url_port: int) -> str:
    """The address of this machine that a connection to the given host would come from."""
    family, kind, _, _, address = socket.getaddrinfo(url_host, url_port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:  # a datagram socket: connecting sends nothing
        probe.connect(address)
        host: str = probe.getsockname()[0]
    return host


def _bytes_of(value: torch.Tensor) -> memoryview:
    """The memory of a contiguous CPU tensor."""
    return memoryview(value.view(-1).view(torch.uint8).numpy()) if value.numel() else memoryview(bytearray())


def _receive(connection: socket.socket, buffer: memoryview) -> None:
    """Fill the buffer."""
    done = 0
    while done < len(buffer):
        count = connection.recv_into(buffer[done:])
        if count == 0:
            raise ConnectionError(f"the connection was closed after {done} of {len(buffer)} bytes")
        done += count
