#!/usr/bin/env bash
# Opens a pull request that makes a version staging's: it writes VERSION into versions/staging, and promote.yml promotes
# what stands there when that is merged. build/proposal/report.md is its text. Prints where the pull request is.
#
# The commit is made through GitHub's interface, which signs it; nothing is pushed from here. A proposal of the same
# version that is there already is left as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
[[ ${VERSION:?} =~ ^[A-Za-z0-9][A-Za-z0-9._-]*/[0-9]+$ ]] || {
    echo "error: $VERSION is not a version: house-prices/7" >&2
    exit 1
}
repository=repos/$GITHUB_REPOSITORY
branch=versions/${VERSION/\//-}
owner=${GITHUB_REPOSITORY%/*}

there=$(gh api "$repository/pulls?state=open&head=$owner:$branch" --jq '.[0].html_url // empty')
if [[ -n $there ]]; then
    echo "$there"
    exit
fi
main=$(gh api "$repository" --jq .default_branch)
base=$(gh api "$repository/git/ref/heads/$main" --jq .object.sha)
# A run that came this far before, and no further, has left the branch.
if ! gh api "$repository/git/ref/heads/$branch" --silent 2>/dev/null; then
    gh api --method POST "$repository/git/refs" --raw-field "ref=refs/heads/$branch" --raw-field "sha=$base" --silent
fi
# The file's own digest, if it is there: GitHub replaces no file without being told which.
sha=$(gh api "$repository/contents/versions?ref=$branch" --jq '.[] | select(.name == "staging") | .sha' 2>/dev/null || true)
gh api --method PUT "$repository/contents/versions/staging" --silent \
    --raw-field "message=$VERSION for staging" --raw-field "branch=$branch" \
    --raw-field "content=$(printf '%s\n' "$VERSION" | base64)" ${sha:+--raw-field "sha=$sha"}
gh api --method POST "$repository/pulls" --jq .html_url \
    --raw-field "title=$VERSION for staging" --raw-field "head=$branch" --raw-field "base=$main" \
    --field body=@build/proposal/report.md
