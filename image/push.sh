#!/usr/bin/env bash
# Pushes an image, and prints how a deployment names it, REPOSITORY@sha256:…, and nothing else to stdout.
# usage: image/push.sh REPOSITORY:TAG
#
# A tag that the repository has already is refused, whether or not the repository itself would refuse it: what was
# tested under a tag is what is deployed under it. DOCKER names the command; log in to the repository before.
set -euo pipefail
tag=${1:?usage: image/push.sh REPOSITORY:TAG}
read -ra docker <<<"${DOCKER:-docker}"
repository=${tag%:*}

if DOCKER_CLI_EXPERIMENTAL=enabled "${docker[@]}" manifest inspect "$tag" >/dev/null 2>&1; then
    echo "error: $tag is there already, and is never replaced: commit, and build again" >&2
    exit 1
fi
"${docker[@]}" push --quiet "$tag" >&2
"${docker[@]}" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$tag" | grep -m 1 "^$repository@sha256:"
