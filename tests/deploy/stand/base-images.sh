#!/usr/bin/env bash
# debian:bookworm-slim and python:3.11-slim: the real ones, or on a machine that reaches no image registry local
# stand-ins of these names, so that the project's own Dockerfile builds on them unchanged. They carry the host's CA bundle (pip in a build step
# needs it behind a TLS-inspecting proxy) and the host's apt sources.
set -euo pipefail
for image in debian:bookworm-slim python:3.11-slim; do
  /usr/bin/docker image inspect "$image" >/dev/null 2>&1 || timeout 60 /usr/bin/docker pull -q "$image" >/dev/null 2>&1 || true
done
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# shellcheck disable=SC2016 # it is apt-get that reads $(REPO_URI)
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -vi security | head -n 1)
if ! /usr/bin/docker image inspect debian:bookworm-slim >/dev/null 2>&1; then
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror" >/dev/null
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
  printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\ntimeout = 180\ndisable-pip-version-check = true\n' >"$root/etc/pip.conf"
  rm -f "$root/etc/apt/sources.list"
  cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/"
  printf 'Acquire::Check-Valid-Until "false";\nAcquire::Check-Date "false";\n' >"$root/etc/apt/apt.conf.d/99host"
  tar -C "$root" -c . | /usr/bin/docker import -c 'CMD ["bash"]' - debian:bookworm-slim >/dev/null
fi
/usr/bin/docker image inspect python:3.11-slim >/dev/null 2>&1 || DOCKER_BUILDKIT=1 /usr/bin/docker build -q -t python:3.11-slim - <<'DOCKERFILE'
FROM debian:bookworm-slim
ENV LANG=C.UTF-8
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/* /usr/lib/python3.11/EXTERNALLY-MANAGED \
 && ln -s /usr/bin/python3.11 /usr/local/bin/python && ln -s /usr/bin/python3.11 /usr/local/bin/python3
CMD ["python3"]
DOCKERFILE
