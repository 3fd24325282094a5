#!/usr/bin/env bash
# Plans an environment: ENV=staging|production. The text becomes build/plan-ENV.md and the job's summary; the output
# `changes` says whether there is anything to apply.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${ENV:?say whose machines: ENV=staging or ENV=production}"
mkdir -p build
trap 'rm -f build/plan.new' EXIT
terraform/plan.sh "$ENV" >build/plan.new
mv build/plan.new "build/plan-$ENV.md"
cat "build/plan-$ENV.md" >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"
grep -q '^No changes\.' "build/plan-$ENV.md" && changes=false || changes=true
echo "changes=$changes" >>"${GITHUB_OUTPUT:-/dev/stdout}"
