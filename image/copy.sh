#!/usr/bin/env bash
# Copies an image to another repository, its digest kept, and prints how a deployment names it there,
# REPOSITORY@sha256:…, and nothing else to stdout.  usage: image/copy.sh REPOSITORY@sha256:… REPOSITORY:TAG
#
# A tag that is there already is refused, unless it is this very image: then there is nothing to do, and a job that is
# run again goes on. SKOPEO names the command; log in to both repositories before (image/login.sh).
set -euo pipefail
usage='usage: image/copy.sh REPOSITORY@sha256:… REPOSITORY:TAG'
source=${1:?$usage} target=${2:?$usage}
read -ra skopeo <<<"${SKOPEO:-skopeo}"
# Where docker keeps its logins, as image/login.sh has left them.
export REGISTRY_AUTH_FILE=${REGISTRY_AUTH_FILE:-${DOCKER_CONFIG:-$HOME/.docker}/config.json}

fail() {
    echo "error: $*" >&2
    exit 1
}

name='[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+'
[[ $source =~ ^$name@sha256:[0-9a-f]{64}$ ]] ||
    fail "$source is not an image by its digest, HOST/NAME@sha256:…, as make push prints it: a tag may be another image tomorrow"
[[ $target =~ ^$name:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$ ]] || fail "$target is not HOST/NAME:TAG, which the copy needs"
command -v "${skopeo[0]}" >/dev/null || fail "there is no ${skopeo[0]}: install skopeo, or let SKOPEO name it"
digest=${source##*@} repository=${target%:*}

# The digest is that of the manifest's bytes, be it one image's or a list's. Prints nothing if there is no such tag.
there() {
    local manifest said
    manifest=$(mktemp) said=$(mktemp)
    if "${skopeo[@]}" inspect --raw "docker://$target" >"$manifest" 2>"$said"; then
        echo "sha256:$(sha256sum <"$manifest" | cut -d' ' -f1)"
    elif ! grep -qiE 'manifest unknown|name unknown' "$said"; then
        echo "error: $repository does not answer whether it has that tag: $(<"$said")" >&2
        rm -f "$manifest" "$said"
        return 1
    fi
    rm -f "$manifest" "$said"
}

held=$(there)
if [[ $held == "$digest" ]]; then
    echo "$target is there already, and is this very image" >&2
elif [[ -n $held ]]; then
    fail "$target is another image, $held, and is never replaced: name another tag"
else
    "${skopeo[@]}" copy --quiet --all --preserve-digests "docker://$source" "docker://$target" >&2 ||
        fail "$source was not copied to $target, for the reason above"
    held=$(there)
    [[ $held == "$digest" ]] ||
        fail "$target is ${held:-not there} after the copy, and should be $digest: did somebody push it meanwhile? Look before deploying"
fi
echo "$repository@$digest"
