#!/usr/bin/env bash
# Promotes VERSION to ENV; without a VERSION, the one that stands in versions/ENV, which a merged proposal has left there.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${ENV:?say which environment: ENV=staging or ENV=production}"
if [[ -z ${VERSION:-} ]]; then
    [[ -r versions/$ENV ]] || {
        echo "error: no VERSION is named, and there is no versions/$ENV, which a merged proposal leaves" >&2
        exit 1
    }
    VERSION=$(<"versions/$ENV")
    export VERSION
fi
make --no-print-directory promote
