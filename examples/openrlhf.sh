#!/usr/bin/env bash
# GRPO with SGPO rewards in OpenRLHF (0.10.2 or later). First: sgpo-serve --config configs/server-rules.toml --port 8100
# usage: SERVER=http://127.0.0.1:8100 SAMPLES=8 examples/openrlhf.sh labelled.jsonl MODEL [more of OpenRLHF's options]
# Where the server has keys, SGPO_API_KEY holds one: OpenRLHF cannot send headers, so it goes into the URL.
# labelled.jsonl comes from examples/openrlhf_data.py, with the same number of samples.
set -euo pipefail
data=$1 model=$2
shift 2
sgpo-serve probe --dialect openrlhf --url "${SERVER:-http://127.0.0.1:8100}" ${SGPO_API_KEY:+--key-env SGPO_API_KEY}
exec python -m openrlhf.cli.train_ppo_ray \
    --actor.model_name_or_path "$model" \
    --data.prompt_dataset "$data" --data.input_key prompt --data.label_key label --data.apply_chat_template \
    --reward.remote_url "${SERVER:-http://127.0.0.1:8100}/v1/openrlhf${SGPO_API_KEY:+?key=$SGPO_API_KEY}" \
    --rollout.n_samples_per_prompt "${SAMPLES:-8}" \
    --algo.advantage.estimator group_norm --algo.advantage.no_std_norm \
    --algo.kl.init_coef 0 \
    "$@"
