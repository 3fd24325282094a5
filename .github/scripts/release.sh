#!/usr/bin/env bash
# Writes the release of a tag on GitHub: what the changelog says of it, with the distributions of dist/. TAG=v1.2.3
set -euo pipefail
cd "$(dirname "$0")/../.."
notes=$(mktemp)
trap 'rm -f "$notes"' EXIT
python3 release/check.py --tag "${TAG:?}" --notes >"$notes"
gh release create "$TAG" dist/SHA256SUMS dist/packages/* --repo "$GITHUB_REPOSITORY" --title "$TAG" --notes-file "$notes"
