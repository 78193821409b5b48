#!/usr/bin/env bash
# What continuous delivery runs after a merge. Both commands may be repeated: what is as declared stays as it is.
set -euo pipefail
cd "$(dirname "$0")"

headstart schedule pets-weekly --cron '0 3 * * mon' \
  --data gs://example-photos/pets \
  --publish gs://example-models/pets \
  --checkpoint-uri gs://example-runs/checkpoints \
  --min-accuracy 0.9

kubectl apply --filename inference-service.yaml
