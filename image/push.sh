#!/usr/bin/env bash
# Pushes an image, and prints how a deployment names it, REPOSITORY@sha256:…, and nothing else to stdout.
# usage: image/push.sh REPOSITORY:TAG
#
# A tag that the repository has already is refused, whether or not the repository itself would refuse it: what was
# tested under a tag is what is deployed under it. If it is this very image, there is nothing to do, and a job that is
# run again goes on. An image that image/build.sh has not made is refused, since no ledger knows what it holds. DOCKER
# names the command; log in to the repository before (image/login.sh).
set -euo pipefail
tag=${1:?usage: image/push.sh REPOSITORY:TAG}
read -ra docker <<<"${DOCKER:-docker}"
repository=${tag%:*}

fail() {
    echo "error: $*" >&2
    exit 1
}

[[ $tag =~ ^[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9._-]+)*:[A-Za-z0-9_][A-Za-z0-9._-]*$ && ${tag##*/} == *:* ]] ||
    fail "$tag is not REPOSITORY:TAG, as image/build.sh has printed it"
label=$("${docker[@]}" image inspect --format '{{index .Config.Labels "pegboard.bundle"}}' "$tag") ||
    fail "there is no image $tag here: build it first (make image)"
[[ -n $label ]] || fail "$tag does not say which bundle it holds: build it with image/build.sh (make image)"
said=$(mktemp)
trap 'rm -f "$said"' EXIT
if found=$(DOCKER_CLI_EXPERIMENTAL=enabled "${docker[@]}" manifest inspect --verbose "$tag" 2>"$said"); then
    # Docker knows an image by its configuration, or, where containerd keeps its images, by its manifest.
    read -r config digest < <(python3 -c '
import json, sys
held = json.load(sys.stdin)
manifest = held.get("SchemaV2Manifest") or held.get("OCIManifest") or {} if isinstance(held, dict) else {}
print(manifest.get("config", {}).get("digest"), held["Descriptor"]["digest"] if manifest else None)' <<<"$found")
    id=$("${docker[@]}" image inspect --format '{{.Id}}' "$tag")
    [[ $id == "$config" || $id == "$digest" ]] ||
        fail "$tag is there already, is not the image that is here, and is never replaced: commit, and build again"
    echo "$tag is there already, and is this very image" >&2
    echo "$repository@$digest"
    exit
elif ! grep -qiE 'no such manifest|manifest unknown|not found' "$said"; then
    fail "$repository does not answer whether it has that tag: $(<"$said")"
fi
"${docker[@]}" push --quiet "$tag" >&2
"${docker[@]}" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$tag" | grep -m 1 -F "$repository@sha256:"
