"""The reward server on Ray Serve: the same application in replicas that come and go with the load.

One machine, with a Ray of its own that ends with the command::

    python -m reward_server.ray_app --config server.toml

A Ray cluster that is there already (the key must be in the environment, since Ray decides where it listens)::

    serve run reward_server.ray_app:build config=server.toml

Ray shares nothing between replicas; `reward_server.running.replicas` says what that changes and what is
refused because of it. Overload is answered in three places: Ray's proxy (503 with Retry-After, in Ray's words) beyond
``[ray] max_queued_requests``, the server's own admission (503 or 429, in our words) in the replica, and the judge's
queue.
What `sgpo-serve` does to the connection itself ([receipt]: slow heads) is Ray's proxy's business here; put a reverse
proxy in front where strangers can reach it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from judge.errors import ConfigError, JudgeError
from reward_server.config import ServerConfig, load_config
from reward_server.edge.keys import Key, read_variable

if TYPE_CHECKING:
    from ray.serve import Application


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. 0 after a clean shutdown, 2 when the server cannot start."""
    args = parse_args(argv)

    from reward_server.edge.logs import set_up_logging
    from reward_server.running.process import override
    from reward_server.running.ray_local import check_start, own_ray_environment, serve_here

    try:
        config = override(load_config(args.config), args.host, args.port, args.judge)
        set_up_logging(config.logging)
        keys = load_fixed_keys(config)
        check_start(config, keys)
        # Before the import of Ray, which reads it once.
        os.environ.update(own_ray_environment())
        serve_here(prepare(config, keys), config, args.url_file)
    except (JudgeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; what it leaves out comes from the configuration file."""
    parser = argparse.ArgumentParser(
        prog="python -m reward_server.ray_app",
        description="Serve SGPO rewards over HTTP with replicas under Ray Serve.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML configuration; without it, the defaults")
    parser.add_argument("--host", help="address to listen on; anything but loopback needs an API key")
    parser.add_argument("--port", type=int, metavar="N", help="port to listen on; 0 takes one that is free now")
    parser.add_argument(
        "--judge", metavar="KIND", help="a kind of judge, its folder, or a TOML file; overrides [judge]"
    )
    parser.add_argument("--url-file", type=Path, metavar="FILE", help="write the base URL here once the server answers")
    return parser.parse_args(argv)


def build(args: Mapping[str, str]) -> Application:
    """For ``serve run`` and ``serve deploy``: the application of the configuration file ``args["config"]``.

    Raises:
        ConfigError: when the configuration is wrong, or there is no key.
    """
    unknown = set(args) - {"config"}
    if unknown:
        raise ConfigError(f"unknown argument '{min(unknown)}'; the only one is config=FILE")
    config = load_config(Path(args["config"]) if "config" in args else None)
    keys = load_fixed_keys(config)
    if not keys and config.auth.api_keys_file is None:
        raise ConfigError(
            f"no API key: put one into ${config.auth.api_keys_env} or into [auth] api_keys_file. `serve run` decides by"
            " itself where it listens; only `python -m reward_server.ray_app` can do without a key, on loopback"
        )
    return prepare(config, keys)


def load_fixed_keys(config: ServerConfig) -> tuple[Key, ...]:
    """Digests of the keys in the environment, to be sent to the replicas; the keys themselves stay here."""
    name = config.auth.api_keys_env
    return tuple(read_variable(name, os.environ.get(name, "")))


def prepare(config: ServerConfig, keys: tuple[Key, ...]) -> Application:
    """Check what replicas need, and put the application together."""
    from reward_server.running.ray_replica import application
    from reward_server.running.replicas import as_one_of

    one = as_one_of(config, config.ray.max_replicas, "[ray] max_replicas")
    try:
        import ray.serve  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigError('Ray Serve is not installed; pip install "ray[serve]"') from None
    return application(one, keys)


if __name__ == "__main__":
    sys.exit(main())
