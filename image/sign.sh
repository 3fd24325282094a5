#!/usr/bin/env bash
# Signs an image without a key: cosign proves who this is with the token of the workflow that runs it, and the signature
# says so.  usage: image/sign.sh REPOSITORY@sha256:…
set -euo pipefail
image=${1:?usage: image/sign.sh REPOSITORY@sha256:…}
read -ra cosign <<<"${COSIGN:-cosign}"
if ! [[ $image =~ ^[a-z0-9][a-z0-9.:/_-]*@sha256:[0-9a-f]{64}$ ]]; then
    echo "error: $image is not an image by its digest, REPOSITORY@sha256:…: a tag may be another image tomorrow" >&2
    exit 1
fi
exec "${cosign[@]}" sign --yes "$image"
