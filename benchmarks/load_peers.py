"""What our server is compared with: the least a FastAPI server can do, and a reward server as trainers ship it.

    uvicorn --app-dir benchmarks --factory load_peers:echo --port 9000
    DELAY_S=0.02 uvicorn --app-dir benchmarks --factory load_peers:inline --port 9000

``echo`` reads our request and sends rewards back: no checks, no judge. ``inline`` is built as OpenRLHF's example
``openrlhf/cli/serve_rm.py`` (v0.11): an ``async def`` handler that runs the reward model on the event loop; here the
model is a sleep of ``DELAY_S``. It is a stand-in written for this comparison, not OpenRLHF's code.
"""

from __future__ import annotations

import os
import time

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse


def echo() -> FastAPI:
    """Rewards of 0.5 for whatever comes."""
    app = FastAPI()

    @app.post("/v1/rewards")
    async def rewards(request: Request) -> JSONResponse:
        body = await request.json()
        return JSONResponse({"groups": [{"rewards": [0.5] * len(group["responses"])} for group in body["groups"]]})

    return app


def inline() -> FastAPI:
    """One model on the event loop."""
    app = FastAPI()
    delay_s = float(os.environ.get("DELAY_S", "0"))

    @app.post("/v1/rewards")
    async def rewards(request: Request) -> JSONResponse:
        body = await request.json()
        texts = [response["text"] for group in body["groups"] for response in group["responses"]]
        time.sleep(delay_s)  # noqa: ASYNC251 - as in the example, where the model's forward stands
        scores = [0.5] * len(texts)
        return JSONResponse({"rewards": scores, "scores": scores, "extra_logs": {"dummy_scores": scores}})

    return app
