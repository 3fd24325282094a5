#!/usr/bin/env bash
# Lets ssh reach hosts over Session Manager by their instances' ids, for a machine that has no fixed address and is used
# for one job.  usage: ansible/session-manager.sh [--remove]
#
# PEGBOARD_SSH_KEY is the private key, without a passphrase; or PEGBOARD_SSH_KEY_PARAMETER names the parameter in AWS that
# holds it, so that nobody else has to. Everything that is written lies in
# ~/.ssh/pegboard-session-manager; --remove takes that away again. ssh's own files are left as they are: ansible/play.sh
# names the configuration, and so may a person (ssh -F ~/.ssh/pegboard-session-manager/config ubuntu@i-…).
set -euo pipefail
place=$HOME/.ssh/pegboard-session-manager

fail() {
    echo "error: $*" >&2
    exit 1
}

case $# in
    0) ;;
    *)
        [[ $* == --remove ]] || fail "usage: ansible/session-manager.sh [--remove]"
        rm -rf "$place"
        exit
        ;;
esac

# From here on no command that is called has the key in its environment.
key=${PEGBOARD_SSH_KEY:-}
unset PEGBOARD_SSH_KEY
parameter=${PEGBOARD_SSH_KEY_PARAMETER:-}
[[ -n $key$parameter ]] || fail "PEGBOARD_SSH_KEY is empty: set it to the private key whose public half Terraform was given" \
    "(ssh_public_key), or PEGBOARD_SSH_KEY_PARAMETER to the parameter in AWS that holds it"
command -v aws >/dev/null || fail "there is no aws on PATH: install AWS's command line"
command -v session-manager-plugin >/dev/null ||
    fail "there is no session-manager-plugin on PATH, without which aws opens no session: install it as" \
        "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html says"

if [[ -z $key ]]; then
    key=$(aws ssm get-parameter --name "$parameter" --with-decryption --query Parameter.Value --output text) ||
        fail "the parameter $parameter was not to be had, for the reason above: whoever asks needs ssm:GetParameter for it," \
            "and it is made with aws ssm put-parameter --type SecureString --name $parameter --value file://KEY"
fi

umask 077
mkdir -p "$HOME/.ssh"
made=$(mktemp -d "$place.XXXXXX")
trap 'rm -rf "$made"' EXIT
# A secret that went through a browser has lost its last newline, or has the carriage returns of a form.
printf '%s\n' "${key//$'\r'/}" >"$made/key"
ssh-keygen -y -P '' -f "$made/key" >/dev/null 2>&1 </dev/null ||
    fail "${parameter:-PEGBOARD_SSH_KEY} is not a private key that opens without a passphrase: it is the whole file, from its BEGIN line" \
        "to its END line"

# What is said first holds; everything else is as the person, or the machine, has it.
cat >"$made/config" <<CONFIG
Host i-*
    ProxyCommand aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p
    IdentityFile "$place/key"
    IdentitiesOnly yes
    StrictHostKeyChecking yes
Host *
    Include ~/.ssh/config
    Include /etc/ssh/ssh_config
CONFIG
rm -rf "$place"
mv "$made" "$place"
