#!/usr/bin/env bash
# Builds the image and pushes it: NAME=REPOSITORY. Its name by digest, its tag, its version and its digest become the
# outputs image, tag, version and digest.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${NAME:?say which repository: NAME=registry.example.com/pegboard}"
read -ra docker <<<"${DOCKER:-docker}"
tag=$(make --no-print-directory image)
image=$(IMAGE=$tag make --no-print-directory push)
label() { "${docker[@]}" image inspect --format "{{index .Config.Labels \"pegboard.$1\"}}" "$tag"; }
version=$(label model)/$(label version)
cat >>"${GITHUB_OUTPUT:-/dev/stdout}" <<OUTPUTS
image=$image
tag=${tag##*:}
version=$version
digest=${image##*@}
OUTPUTS
cat >>"${GITHUB_STEP_SUMMARY:-/dev/stderr}" <<SUMMARY
### $version

| | |
|---|---|
| tag | \`$tag\` |
| image | \`$image\` |
| bundle | \`sha256:$(label bundle)\` |
SUMMARY
