#!/bin/sh
# Applies an environment: plans it, shows the plan, and applies exactly that. It does not ask; plan.sh is for looking.
# usage: STATE_BUCKET=… terraform/apply.sh staging|production
# With PLAN_DIGEST, the SHA-256 of what plan.sh has printed, nothing is applied that somebody has not seen there.
set -eu
environment=${1:?usage: STATE_BUCKET=… terraform/apply.sh staging|production}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# What Terraform says of its plan is on standard error; the Markdown is for comments.
"$here/plan.sh" "$environment" "$work/plan" >"$work/text"
digest=$(sha256sum <"$work/text" | cut -d' ' -f1)
[ "${PLAN_DIGEST:-$digest}" = "$digest" ] || {
    echo "error: $environment would be changed in another way than when it was planned: plan it again, and look" >&2
    exit 1
}
"${TERRAFORM:-terraform}" -chdir="$here" apply -input=false -no-color "$work/plan"
