#!/usr/bin/env bash
# Writes the hosts' keys where ssh looks for them, as each host showed them on its console when it was first started.
# usage: ansible/known-hosts.sh [HOSTS_CFG [KNOWN_HOSTS]]
#
# The console is read through EC2's interface, as who may do that, so nobody on the way to a host can put a key of their
# own in. A host whose key is known, for this instance, is not asked again. Nothing is written unless all keys are there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
hosts=${1:-$here/hosts.cfg} known=${2:-$HOME/.ssh/known_hosts}

fail() {
    echo "error: $*" >&2
    exit 1
}

# usage: console INSTANCE [--latest]
console() {
    aws ec2 get-console-output --region "$region" --instance-id "$1" --query Output --output text "${@:2}" || return 1
}

# The last key of the block that cloud-init prints; the console's lines end with carriage returns.
key_in() {
    tr -d '\r' | sed -n '/BEGIN SSH HOST KEY KEYS/,/END SSH HOST KEY KEYS/p' |
        grep -oE 'ssh-ed25519 AAAA[A-Za-z0-9+/]+=*' | tail -n 1
}

# What was printed since the last start is what every type keeps; what is there at this moment, only newer types tell.
key_of() {
    console "$1" | key_in || console "$1" --latest | key_in
}

[[ -r $hosts ]] || fail "there is no $hosts: \`make hosts\` writes it"
region=$(sed -n 's/^pegboard_aws_region=//p' "$hosts")
[[ -n $region ]] || fail "$hosts does not say pegboard_aws_region: is it the inventory that Terraform writes?"
mapfile -t rows < <(sed -nE 's/^[^ #]+ ansible_host=([^ ]+) instance_id=(i-[0-9a-f]+)$/\1 \2/p' "$hosts")
((${#rows[@]})) || fail "$hosts names no host with an ansible_host and an instance_id"

mkdir -p "$(dirname "$known")"
written=$(mktemp "$known.XXXXXX")
trap 'rm -f "$written"' EXIT
[[ ! -e $known ]] || cat "$known" >"$written"

for row in "${rows[@]}"; do
    read -r address instance <<<"$row"
    if grep -qE "^$address,$instance ssh-ed25519 [^ ]+ $instance\$" "$written"; then
        echo "$address ($instance): known"
        continue
    fi
    key=$(key_of "$instance") || fail "$address ($instance): its console shows no key yet, or no longer." \
        "A new host needs a few minutes: try again. One that was restarted meanwhile is asked over Session Manager:" \
        "by somebody who may open a shell there: aws ssm start-session --target $instance, then cat /etc/ssh/ssh_host_ed25519_key.pub"
    # An address that another instance had before is this one's now.
    ssh-keygen -q -R "$address" -f "$written" >/dev/null 2>&1 || true
    rm -f "$written.old"
    echo "$address,$instance $key $instance" >>"$written"
    echo "$address ($instance): $(ssh-keygen -lf - <<<"$key" | cut -d' ' -f2)"
done
chmod 600 "$written"
mv "$written" "$known"
