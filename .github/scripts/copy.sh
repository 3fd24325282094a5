#!/usr/bin/env bash
# Copies an image to another repository: IMAGE=REPOSITORY@sha256:… TO=REPOSITORY:TAG. Its name there becomes the output
# image.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=$(make --no-print-directory copy)
echo "image=$image" >>"${GITHUB_OUTPUT:-/dev/stdout}"
