"""GRPO with SGPO rewards in SkyRL 0.4: ``main_base`` with one environment and one hook more.

    sgpo-serve --config configs/server-joined.toml --port 8100
    export SGPO_URL=http://127.0.0.1:8100 SGPO_RUN=seed-0 SGPO_TIMEOUT_S=750 SGPO_DEADLINE_S=1500
    python examples/skyrl_sgpo.py data.train_data="['train.parquet']" \
        data.val_data="['test.parquet']" environment.env_class=sgpo trainer.algorithm.grpo_norm_by_std=false ...

Rows: ``prompt`` (messages), ``env_class`` "sgpo", ``reward_spec`` {"method": "rule", "ground_truth": "42"}; rows of the
evaluation also ``sgpo_eval`` true. See docs/integrations/skyrl.md.
"""

from __future__ import annotations

import sys
from typing import Any

import ray
from skyrl.backends.skyrl_train.inference_servers.utils import resolve_policy_model_name
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.entrypoints.main_base import BasePPOExp
from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator
from skyrl.train.utils import validate_cfg
from skyrl.train.utils.utils import initialize_ray
from skyrl_gym.envs import register

from sgpo_client.adapters.skyrl import with_group


class SgpoGenerator(SkyRLGymGenerator):
    """Tells every environment its group."""

    def _setup_env_extras(
        self, _env_class: str, env_extras: dict[str, Any], _sampling_params: Any, _trajectory_id: Any
    ) -> dict[str, Any]:
        return with_group(env_extras, _trajectory_id, self.generator_cfg.n_samples_per_prompt)


class SgpoExperiment(BasePPOExp):
    """The base experiment with that generator."""

    def get_generator(self, cfg: SkyRLTrainConfig, tokenizer: Any, inference_engine_client: Any) -> SgpoGenerator:
        """As the base's."""
        return SgpoGenerator(
            generator_cfg=cfg.generator,
            skyrl_gym_cfg=cfg.environment.skyrl_gym,
            inference_engine_client=inference_engine_client,
            tokenizer=tokenizer,
            policy_model_name=resolve_policy_model_name(cfg),
        )


@ray.remote(num_cpus=1)
def run(cfg: SkyRLTrainConfig) -> None:
    """The run. The environment is registered here, in the process that makes environments."""
    register(id="sgpo", entry_point="sgpo_client.adapters.skyrl:SgpoEnv")
    SgpoExperiment(cfg).run()


def main() -> None:
    """The command."""
    cfg = SkyRLTrainConfig.from_cli_overrides(sys.argv[1:])
    validate_cfg(cfg)
    initialize_ray(cfg)
    ray.get(run.remote(cfg))


if __name__ == "__main__":
    main()
