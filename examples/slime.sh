#!/usr/bin/env bash
# GRPO with SGPO rewards in slime. First: sgpo-serve --config configs/server-rules.toml --host 0.0.0.0 --port 8100 (with a key)
# usage: SGPO_URL=http://host:8100 SGPO_API_KEY=... examples/slime.sh data.jsonl [model, cluster and training options of slime]
# data.jsonl: {"prompt": ..., "label": "42"} a line. Run it in slime's folder. Without an evaluation set add --group-rm: one
# request a group. slime cannot evaluate with it; without it the server joins the groups.
set -euo pipefail
data=$1
shift
sgpo-serve probe --dialect slime_adapter --url "$SGPO_URL" ${SGPO_API_KEY:+--key-env SGPO_API_KEY}
environment=$(python -c 'import json, os
names = [name for name in os.environ if name.startswith("SGPO_")]
print(json.dumps({"env_vars": {name: os.environ[name] for name in names}}))')
exec ray job submit --address="${RAY_ADDRESS:-http://127.0.0.1:8265}" --runtime-env-json="$environment" -- \
    python train.py \
    --prompt-data "$data" --input-key prompt --label-key label --apply-chat-template \
    --n-samples-per-prompt "${SAMPLES:-8}" \
    --custom-rm-path sgpo_client.adapters.slime.custom_rm \
    --reward-key score --eval-reward-key acc \
    --advantage-estimator grpo --disable-grpo-std-normalization \
    --kl-loss-coef 0 \
    "$@"
