#!/usr/bin/env bash
# Comments on a pull request, or changes the comment that it made before on the same topic.
# NUMBER is the pull request's, TOPIC tells its comments apart, BODY is a file of Markdown; GITHUB_REPOSITORY, and gh
# with a token.
set -euo pipefail
cd "$(dirname "$0")/../.."
comments=repos/$GITHUB_REPOSITORY/issues
mark="<!-- ${TOPIC:?} -->"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
printf '%s\n' "$mark" >"$body"
cat "${BODY:?}" >>"$body"

# Anybody may write the mark into a comment: only a bot's are changed.
found=$(MARK=$mark gh api --paginate "$comments/${NUMBER:?}/comments" \
    --jq '.[] | select(.user.type == "Bot" and (.body | startswith(env.MARK))) | .id' | head -n 1)
if [[ -n $found ]]; then
    gh api --method PATCH "$comments/comments/$found" --field "body=@$body" --jq .html_url
else
    gh api --method POST "$comments/$NUMBER/comments" --field "body=@$body" --jq .html_url
fi
