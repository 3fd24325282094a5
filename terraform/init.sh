#!/bin/sh
# Points this directory at the state of an environment; says what it does on standard error.
# usage: STATE_BUCKET=… terraform/init.sh staging|production
set -eu
usage="usage: STATE_BUCKET=… terraform/init.sh staging|production"
environment=${1:?$usage}
case $environment in
staging | production) ;;
*)
    echo "error: $environment is neither staging nor production; $usage" >&2
    exit 2
    ;;
esac
[ -n "${STATE_BUCKET:-}" ] || {
    echo "error: STATE_BUCKET is not set: it names the bucket of Terraform's states; $usage" >&2
    exit 2
}
"${TERRAFORM:-terraform}" -chdir="$(dirname "$0")" init -reconfigure -input=false -no-color \
    -backend-config="$environment.s3.tfbackend" -backend-config="bucket=$STATE_BUCKET" >&2
