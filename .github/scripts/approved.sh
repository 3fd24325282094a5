#!/usr/bin/env bash
# Says in the job's summary what was approved, and for which environment: VERSION, ENV, and IMAGE if there is one.
set -euo pipefail
{
    echo "### $VERSION for $ENV"
    [[ -z ${IMAGE:-} ]] || echo "
\`$IMAGE\`"
} >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"
