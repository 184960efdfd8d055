"""The process that runs math-verify for `judge.answers`. Started by file name: it imports nothing of the package.

Reads one JSON list ``[answer, reference, limit_s]`` a line and writes one JSON object a line: ``{"equal": true}`` or
``{"error": "..."}``; the first line, once math-verify is loaded, is ``{"ready": true}``. Ends when its input does. An
item that runs on is killed from outside; should the parent be gone by then, the limit on CPU time ends it. What needs
more memory than `MEMORY_BYTES` is mostly caught inside sympy and then counts as not equal.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from math import ceil

MEMORY_BYTES = 2 * 1024**3


def main() -> None:
    """Serve until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # What a library prints must not get between the replies.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        import math_verify
    except ImportError as error:
        print(json.dumps({"error": f"cannot import math_verify: {error}"}), file=replies)
        return
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its own time-out, unused here, is off
    print(json.dumps({"ready": True}), file=replies)

    def equal(answer: str, reference: str) -> dict[str, object]:
        gold = math_verify.parse(rf"\boxed{{{reference}}}", parsing_timeout=None)
        if not gold:
            return {"error": "math-verify cannot read the reference answer"}
        target = math_verify.parse(rf"\boxed{{{answer}}}", parsing_timeout=None)
        return {"equal": bool(math_verify.verify(gold, target, timeout_seconds=None))}

    for line in sys.stdin:
        answer, reference, limit_s = json.loads(line)
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit_cpu_s = ceil(used.ru_utime + used.ru_stime + limit_s) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit_cpu_s, resource.RLIM_INFINITY))
        try:
            reply = equal(answer, reference)
        except Exception as error:  # whatever sympy raises on hostile text: the item fails, the worker lives on
            reply = {"error": f"math-verify failed with {type(error).__name__}"}
        print(json.dumps(reply), file=replies)


if __name__ == "__main__":
    main()
