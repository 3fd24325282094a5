#!/bin/sh
# Plans an environment, and prints as Markdown what would change: for a comment on GitHub, or to be read.
# usage: STATE_BUCKET=… terraform/plan.sh staging|production [FILE]
# FILE receives the plan, as `terraform apply` takes it. What Terraform says meanwhile goes to standard error.
set -eu
# GitHub takes 65,536 characters; the difference is for a line of who posts it. Bytes are counted, which are never fewer.
limit=65000

usage="usage: STATE_BUCKET=… terraform/plan.sh staging|production [FILE]"
environment=${1:?$usage}
case $environment in
staging) inventory=../ansible/hosts.cfg ;;
production) inventory=../ansible/hosts-production.cfg ;;
*)
    echo "error: $environment is neither staging nor production; $usage" >&2
    exit 2
    ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
terraform=${TERRAFORM:-terraform}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

"$here/init.sh" "$environment"
# Taking the lock is writing, which who plans may not be allowed to. `terraform apply` refuses the plan of a state that
# has changed since.
"$terraform" -chdir="$here" plan -lock=false -input=false -no-color -out="$work/plan" \
    -var-file="$environment.tfvars" -var="hosts_cfg=$inventory" >&2
"$terraform" -chdir="$here" show -no-color "$work/plan" >"$work/text"

summary=$(grep -m 1 -E '^(Plan: |No changes\.)' "$work/text" || echo "Only outputs change.")
# Longer than any row of backticks in the text: no line of it can be taken for the fence's end.
fence=$(grep -oE '`{3,}' "$work/text" | sort | tail -n 1)\`
[ ${#fence} -gt 3 ] || fence='```'
printf '### Terraform: %s\n\n%s\n\n<details><summary>The whole plan</summary>\n\n%s\n' \
    "$environment" "$summary" "$fence" >"$work/head"
printf '%s\n\n</details>\n' "$fence" >"$work/end"

room=$((limit - $(wc -c <"$work/head") - $(wc -c <"$work/end")))
if [ "$(wc -c <"$work/text")" -gt "$room" ]; then
    # To the last whole line, and with room for the words below.
    head -c "$((room > 200 ? room - 200 : 0))" "$work/text" | sed '$d' >"$work/cut"
    printf '%s\n\nCut after %d of %d lines: the rest is in the log of the run that printed this.\n\n</details>\n' \
        "$fence" "$(wc -l <"$work/cut")" "$(wc -l <"$work/text")" >"$work/end"
    mv "$work/cut" "$work/text"
fi

if [ $# -gt 1 ]; then
    # A plan holds values that Terraform does not show.
    umask 077
    cp "$work/plan" "$2.new"
    mv "$2.new" "$2"
fi
cat "$work/head" "$work/text" "$work/end"
