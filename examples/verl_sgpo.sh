#!/usr/bin/env bash
# GRPO with SGPO rewards in verl 0.9.1. Start the server first, where every reward worker reaches it:
#   sgpo-serve --config configs/server-rules.toml --port 8100
# Rows need prompt, reward_model.ground_truth and extra_info.split. See docs/integrations/verl.md.
set -euo pipefail
python3 -m verl.trainer.main_ppo \
    algorithm.adv_estimator=grpo \
    algorithm.norm_adv_by_std_in_grpo=False \
    data.train_files="${TRAIN:-train.parquet}" \
    data.val_files="${TEST:-test.parquet}" \
    data.return_raw_chat=True \
    actor_rollout_ref.model.path="${MODEL:-Qwen/Qwen2.5-0.5B-Instruct}" \
    actor_rollout_ref.rollout.n=8 \
    reward.reward_manager.source=importlib \
    reward.reward_manager.module.path=pkg://sgpo_client.adapters.verl \
    reward.reward_manager.name=SgpoRewardManager \
    +reward.reward_kwargs.url="${SGPO_URL:-http://127.0.0.1:8100}" \
    "$@"
