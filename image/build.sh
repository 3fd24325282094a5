#!/usr/bin/env bash
# Builds the image, and first takes the bundle that the build has trained into the registry, so that no image serves
# what the ledger does not know.  usage: image/build.sh NAME [OPTION OF docker build]…
#
# Prints NAME:COMMIT-MODEL-NUMBER and nothing else to stdout. PEGBOARD_REGISTRY names the registry, PEGBOARD and DOCKER
# name the commands. What the build has made besides (bundle, requirements, bill of materials) lies in build/image.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?usage: image/build.sh NAME [OPTION OF docker build]…}
shift
if ! [[ $name =~ ^[a-z0-9][a-z0-9._-]*(:[0-9]+/[a-z0-9._-]+)?(/[a-z0-9._-]+)*$ ]]; then
    echo "error: $name is not a repository's name: lower-case letters, digits and ._-/, and no tag, which is made here" >&2
    exit 1
fi
read -ra docker <<<"${DOCKER:-docker}"
read -ra pegboard <<<"${PEGBOARD:-pegboard}"
# Where an attestation comes along by itself, a tag is an index, and what was pushed is not told again by its own digest.
export DOCKER_BUILDKIT=1 BUILDX_NO_DEFAULT_ATTESTATIONS=1

commit=$(git rev-parse HEAD)
[[ -z $(git status --porcelain) ]] && changed='' || changed=-changed
made=build/image
rm -rf "$made"
"${docker[@]}" build --target trained --output "type=local,dest=$made" "$@" . >&2

told=$("${pegboard[@]}" models import "$made/bundle" --json --reason "image $name of commit ${commit:0:12}$changed")
read -r model number digest < <(python3 -c 'import json, sys; v = json.load(sys.stdin); print(v["name"], v["number"], v["digest"])' <<<"$told")
tag=$name:${commit:0:12}$changed-$model-$number

"${docker[@]}" build --tag "$tag" --build-arg "VERSION=$number" \
    --label "pegboard.model=$model" --label "pegboard.version=$number" --label "pegboard.bundle=$digest" \
    --label "org.opencontainers.image.title=$model" --label "org.opencontainers.image.version=$number" \
    --label "org.opencontainers.image.revision=$commit$changed" "$@" . >&2

# A build without its cache trains again, and another training is another bundle.
held=$("${docker[@]}" run --rm --network none --entrypoint sha256sum "$tag" "/opt/pegboard/bundle/$number/manifest.json")
if [[ ${held%% *} != "$digest" ]]; then
    "${docker[@]}" rmi "$tag" >/dev/null
    echo "error: the image holds bundle ${held%% *}, and the registry's $model/$number is $digest: the two builds did not share their" \
        "cache; build again without --no-cache" >&2
    exit 1
fi
echo "$tag"
