#!/usr/bin/env bash
# Boots N stand-ins for EC2 instances on a bridge of their own.  usage: hosts.sh up|down WORKDIR [N]
# WORKDIR receives: key, key.pub, known_hosts, hosts.txt (name and address a line).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
action=$1 work=$2 count=${3:-2} net=pegboard-deploy prefix=172.30.78 name=pegboard-deploy
docker() { DOCKER_BUILDKIT=1 /usr/bin/docker "$@"; }
if [[ $action == down ]]; then
    for n in $(seq "$count"); do docker rm -fv "$name-$n" >/dev/null 2>&1 || true; done
    docker network rm $net >/dev/null 2>&1 || true
    exit 0
fi
mkdir -p "$work"
docker build -q -t pegboard-deploy-host "$here/host" >/dev/null
[[ -f $work/key ]] || ssh-keygen -q -t ed25519 -N '' -C pegboard-deploy -f "$work/key"
docker network inspect $net >/dev/null 2>&1 || docker network create --subnet $prefix.0/24 --gateway $prefix.1 $net >/dev/null
: >"$work/known_hosts"
: >"$work/hosts.txt"
for n in $(seq "$count"); do
    docker rm -fv "$name-$n" >/dev/null 2>&1 || true
    # What systemd and an engine inside need; --privileged asks for a capability that not every machine has to give.
    docker run -d --name "$name-$n" --hostname "host-$n" --network $net --ip "$prefix.1$n" \
        --cap-add ALL --cap-drop SYS_RESOURCE --cgroupns=private \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined --device-cgroup-rule 'a *:* rwm' \
        --tmpfs /run --tmpfs /run/lock --tmpfs /tmp -v /var/lib/docker -v /var/lib/containerd pegboard-deploy-host >/dev/null
    for _ in $(seq 900); do
        docker exec "$name-$n" test -s /etc/ssh/ssh_host_ed25519_key.pub && break
        sleep .2
    done
    docker exec -i "$name-$n" install -m 600 -o ubuntu -g ubuntu /dev/stdin /home/ubuntu/.ssh/authorized_keys <"$work/key.pub"
    echo "$prefix.1$n $(docker exec "$name-$n" cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)" >>"$work/known_hosts"
    echo "host-$n $prefix.1$n" >>"$work/hosts.txt"
done
while read -r host address; do
    for _ in $(seq 900); do
        ssh -F none -i "$work/key" -o BatchMode=yes -o UserKnownHostsFile="$work/known_hosts" -o ConnectTimeout=2 \
            "ubuntu@$address" sudo true </dev/null 2>/dev/null && continue 2
        sleep .2
    done
    echo "$host at $address does not let ssh in" >&2
    exit 1
done <"$work/hosts.txt"
