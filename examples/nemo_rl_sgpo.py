"""GRPO with SGPO rewards in NeMo-RL: registers the environment, then runs NeMo-RL's own ``examples/run_grpo.py``.

    sgpo-serve --config configs/server-rules.toml --port 8100
    python examples/nemo_rl_sgpo.py --config grpo_math.yaml      # yours, with what examples/nemo_rl_sgpo.yaml has

Run it in NeMo-RL's folder, with ``sgpo`` installed in the Python of the run. See docs/integrations/nemo-rl.md.
"""

from __future__ import annotations

import runpy

from nemo_rl.distributed.ray_actor_environment_registry import ACTOR_ENVIRONMENT_REGISTRY
from nemo_rl.distributed.virtual_cluster import PY_EXECUTABLES
from nemo_rl.environments.utils import register_env

ACTOR = "sgpo_client.adapters.nemo_rl.SgpoEnvironment"

if __name__ == "__main__":
    ACTOR_ENVIRONMENT_REGISTRY[ACTOR] = PY_EXECUTABLES.SYSTEM
    register_env("sgpo", ACTOR)
    runpy.run_path("examples/run_grpo.py", run_name="__main__")
