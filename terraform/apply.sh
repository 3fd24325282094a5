#!/bin/sh
# Applies an environment: plans it, shows the plan, and applies exactly that. It does not ask; plan.sh is for looking.
# usage: STATE_BUCKET=… terraform/apply.sh staging|production
set -eu
environment=${1:?usage: STATE_BUCKET=… terraform/apply.sh staging|production}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# What Terraform says of its plan is on standard error; the Markdown is for comments.
"$here/plan.sh" "$environment" "$work/plan" >/dev/null
"${TERRAFORM:-terraform}" -chdir="$here" apply -input=false -no-color "$work/plan"
