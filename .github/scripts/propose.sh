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
gh api --method POST "$repository/git/refs" --field "ref=refs/heads/$branch" --field "sha=$base" --silent
# The file's own digest, if it is there: GitHub replaces no file without being told which.
sha=$(gh api "$repository/contents/versions?ref=$main" --jq '.[] | select(.name == "staging") | .sha' 2>/dev/null || true)
gh api --method PUT "$repository/contents/versions/staging" --silent \
    --field "message=$VERSION for staging" --field "branch=$branch" \
    --field "content=$(printf '%s\n' "$VERSION" | base64)" ${sha:+--field "sha=$sha"}
gh api --method POST "$repository/pulls" --jq .html_url \
    --field "title=$VERSION for staging" --field "head=$branch" --field "base=$main" --field body=@build/proposal/report.md
