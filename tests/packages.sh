#!/usr/bin/env bash
# Installs the Debian packages that the suites need, those that are missing: a browser, a database, clients of registries
# and of GitHub. SUDO names what root is asked with, where one is not root.
set -euo pipefail
read -ra sudo <<<"${SUDO:-}"
((EUID)) && sudo=("${sudo[@]:-sudo}")
need=()
command -v chromium >/dev/null || need+=(chromium)
command -v chromedriver >/dev/null || need+=(chromium-driver)
compgen -G '/usr/lib/postgresql/*/bin' >/dev/null || need+=(postgresql)
command -v gh >/dev/null || need+=(gh)
command -v skopeo >/dev/null || need+=(skopeo)
((${#need[@]})) || exit 0
echo "installing ${need[*]}" >&2
"${sudo[@]}" apt-get -qq update
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get -qq install -y "${need[@]}" >/dev/null
