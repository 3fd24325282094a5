#!/usr/bin/env bash
# A container engine on a bare Debian machine, as root. Safe to run again. Prints ENGINE=found, or ENGINE=ours and
# writes the pid of the dockerd it started to the file named by $1, so that the caller ends that one and no other.
set -euo pipefail
pidfile=${1:?usage: engine.sh PIDFILE}
need=()
# An engine that is there already is not replaced: Debian's package would push another one's out.
docker info >/dev/null 2>&1 || need+=(docker.io)
for package in debootstrap docker-registry haproxy apache2-utils openssh-client iproute2 iptables skopeo; do
  dpkg -s "$package" >/dev/null 2>&1 || need+=("$package")
done
if ((${#need[@]})); then
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${need[@]}" >/dev/null
fi
# Seen once: an engine that answers while its bridge is gone; every build then says "could not find bridge docker0".
if docker info >/dev/null 2>&1 && ! ip link show docker0 >/dev/null 2>&1; then
  ip link add docker0 type bridge
  ip addr add "$(docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}')/16" dev docker0
  ip link set docker0 up
fi
if docker info >/dev/null 2>&1; then echo ENGINE=found; exit 0; fi
# A pid file left behind makes dockerd refuse to start when that number is in use again.
if [[ -f /var/run/docker.pid ]] && ! grep -qs dockerd "/proc/$(cat /var/run/docker.pid)/comm"; then rm -f /var/run/docker.pid; fi
log=${pidfile%.pid}.log
setsid /usr/sbin/dockerd --storage-driver=overlay2 >"$log" 2>&1 </dev/null &
echo $! >"$pidfile"
for _ in $(seq 600); do
  docker info >/dev/null 2>&1 && { echo ENGINE=ours; exit 0; }
  sleep .3
done
echo "no container engine: $(tail -n 1 "$log")" >&2
exit 1
