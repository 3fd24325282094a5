#!/bin/sh
# Downloads the providers of every configuration here into a directory, once: the checks then need no network.
# usage: terraform/providers.sh DIRECTORY
set -eu
directory=${1:?usage: terraform/providers.sh DIRECTORY}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
"${TERRAFORM:-terraform}" -chdir="$here" providers mirror "$directory" >&2
