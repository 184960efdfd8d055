#!/usr/bin/env bash
# GRPO with SGPO rewards in verl 0.9.1. Start the server first, where every reward worker reaches it:
#   sgpo-serve --config configs/server-joined.toml --host 0.0.0.0 --port 8100 (with a key; without it --host must go)
# usage: SGPO_URL=http://host:8100 SGPO_API_KEY=... examples/verl_sgpo.sh [more of verl's options]
# On a Ray cluster SGPO_API_KEY must be in the environment of its workers: on the command line verl would log it.
# Rows need prompt, reward_model.ground_truth and extra_info.split. See docs/integrations/verl.md.
set -euo pipefail
sgpo-serve probe --dialect verl --url "${SGPO_URL:-http://127.0.0.1:8100}" ${SGPO_API_KEY:+--key-env SGPO_API_KEY}
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
    +reward.reward_kwargs.timeout_s=750 +reward.reward_kwargs.deadline_s=1500 \
    "$@"
