#!/usr/bin/env bash
# Pushes an image, and prints how a deployment names it, REPOSITORY@sha256:…, and nothing else to stdout.
# usage: image/push.sh REPOSITORY:TAG
#
# A tag that the repository has already is refused, whether or not the repository itself would refuse it: what was
# tested under a tag is what is deployed under it. So is an image that image/build.sh has not made, since no ledger knows
# what it holds. DOCKER names the command; log in to the repository before.
set -euo pipefail
tag=${1:?usage: image/push.sh REPOSITORY:TAG}
read -ra docker <<<"${DOCKER:-docker}"
repository=${tag%:*}

fail() {
    echo "error: $*" >&2
    exit 1
}

[[ ${tag##*/} == *:* ]] || fail "$tag has no tag: write REPOSITORY:TAG, as image/build.sh has printed it"
label=$("${docker[@]}" image inspect --format '{{index .Config.Labels "pegboard.bundle"}}' "$tag") ||
    fail "there is no image $tag here: build it first (make image)"
[[ -n $label ]] || fail "$tag does not say which bundle it holds: build it with image/build.sh (make image)"
if found=$(DOCKER_CLI_EXPERIMENTAL=enabled "${docker[@]}" manifest inspect "$tag" 2>&1); then
    fail "$tag is there already, and is never replaced: commit, and build again"
elif ! grep -qiE 'no such manifest|manifest unknown|not found' <<<"$found"; then
    fail "$repository does not answer whether it has that tag: $found"
fi
"${docker[@]}" push --quiet "$tag" >&2
"${docker[@]}" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$tag" | grep -m 1 -F "$repository@sha256:"
