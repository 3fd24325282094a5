#!/usr/bin/env bash
# Runs a playbook on the hosts of an environment, as the Makefile's targets do.
# usage: ansible/play.sh PLAYBOOK [OPTION OF ansible-playbook]…
#
# ANSIBLE_INVENTORY names the inventory, else PEGBOARD_INVENTORY (hosts.cfg, hosts-production.cfg). With
# PEGBOARD_OVER=session-manager ssh reaches the hosts by their instances' ids, with what session-manager.sh has set up,
# or else as ~/.ssh/config says.
set -euo pipefail
cd "$(dirname "$0")"
: "${1:?usage: ansible/play.sh PLAYBOOK [OPTION OF ansible-playbook]…}"
export ANSIBLE_INVENTORY=${ANSIBLE_INVENTORY:-${PEGBOARD_INVENTORY:-hosts.cfg}}

case ${PEGBOARD_OVER:-} in
    '') ;;
    session-manager)
        # The last inventory has the last word on ansible_host.
        ANSIBLE_INVENTORY+=,inventory/session-manager.yml
        config=$HOME/.ssh/pegboard-session-manager/config
        [[ ! -e $config ]] || export ANSIBLE_SSH_COMMON_ARGS="${ANSIBLE_SSH_COMMON_ARGS:-} -F '$config'"
        ;;
    *)
        echo "error: OVER is $PEGBOARD_OVER, and may be session-manager; without it ssh goes to the hosts' addresses" >&2
        exit 1
        ;;
esac
# An inventory that is missing, or knows no host of ours, would be a warning, and a success that did nothing.
export ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=true ANSIBLE_HOST_PATTERN_MISMATCH=error
exec ansible-playbook "$@"
