#!/usr/bin/env bash
# Plans an environment: ENV=staging|production. The text becomes build/plan-ENV.md and the job's summary. The output
# `changes` says whether there is anything to apply, and `digest` is the text's: what is approved is what is applied.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${ENV:?say whose machines: ENV=staging or ENV=production}"
mkdir -p build
trap 'rm -f build/plan.new' EXIT
terraform/plan.sh "$ENV" >build/plan.new
mv build/plan.new "build/plan-$ENV.md"
cat "build/plan-$ENV.md" >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"
grep -q '^No changes\.' "build/plan-$ENV.md" && changes=false || changes=true
cat >>"${GITHUB_OUTPUT:-/dev/stdout}" <<OUTPUTS
changes=$changes
digest=$(sha256sum <"build/plan-$ENV.md" | cut -d' ' -f1)
OUTPUTS
