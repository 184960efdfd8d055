"""Where an adapter finds trouble: a reply that gets lost on its way, and an address where nobody listens."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def nobody_at() -> str:
    """The URL of a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def losing_first_reply(port: int) -> Iterator[tuple[str, threading.Event]]:
    """A way to the server at ``port`` that drops the first reply, once it is there, and its connection.

    Yields its URL, and an event that says that the reply was lost.
    """
    lost = threading.Event()
    taken = threading.Lock()
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            threading.Thread(target=pump, args=(client, server), daemon=True).start()
            first = taken.acquire(blocking=False)
            while data := receive(server):
                if first:
                    lost.set()
                    # Closing alone would wait for the thread that still reads.
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=carry, args=(client,), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", lost
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(timeout=60)


def receive(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def pump(source: socket.socket, target: socket.socket) -> None:
    while data := receive(source):
        try:
            target.sendall(data)
        except OSError:
            return
