"""SGPO rewards for ms-swift: a plug-in file for ``--external_plugins``.

    sgpo-serve --config configs/server-rules.toml --port 8100
    SGPO_URL=http://127.0.0.1:8100 swift rlhf --rlhf_type grpo --external_plugins examples/ms_swift_plugin.py \
        --reward_funcs sgpo sgpo_accuracy sgpo_fallback --reward_weights 1 0 0 --scale_rewards none ...

The data set's column ``solution`` holds the reference answer. See docs/integrations/ms-swift.md.
"""

from __future__ import annotations

from swift.rewards import orms

from sgpo_client.adapters.ms_swift import sgpo_orms

orms.update(sgpo_orms(answer_column="solution"))
