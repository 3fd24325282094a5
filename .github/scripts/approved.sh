#!/usr/bin/env bash
# Says in the job's summary what was approved, and for which machines: IMAGE, VERSION, ENV.
set -euo pipefail
{
    echo "### $VERSION for $ENV"
    echo
    echo "\`$IMAGE\`"
} >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"
