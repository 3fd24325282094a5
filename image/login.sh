#!/usr/bin/env bash
# Logs docker in to the registry of a repository; skopeo finds the same login.  usage: image/login.sh REPOSITORY
#
# ECR is asked for a password with aws. Any other registry takes REGISTRY_USER and REGISTRY_TOKEN from the environment, or
# instead of the token REGISTRY_TOKEN_PARAMETER, the name of the parameter in AWS that holds it.
# No password is an argument of a command, where everybody on the machine can read it. DOCKER names the command.
set -euo pipefail
repository=${1:?usage: image/login.sh REPOSITORY}
read -ra docker <<<"${DOCKER:-docker}"
registry=${repository%%/*}

fail() {
    echo "error: $*" >&2
    exit 1
}

[[ $repository =~ ^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)+$ && $registry =~ [.:]|^localhost$ ]] ||
    fail "$repository does not say which registry to log in to: NAME is HOST/NAME, registry.example.com/pegboard"

token=${REGISTRY_TOKEN:-}
unset REGISTRY_TOKEN
if [[ $registry == *.amazonaws.com || $registry == *.amazonaws.com.cn ]]; then
    [[ $registry =~ ^[0-9]{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$ ]] ||
        fail "$registry is not ECR's: ACCOUNT.dkr.ecr.REGION.amazonaws.com"
    region=${BASH_REMATCH[1]} user=AWS
    command -v aws >/dev/null || fail "there is no aws on PATH, which is asked for ECR's password: install AWS's command line"
    token=$(aws ecr get-login-password --region "$region") ||
        fail "ECR in $region gave no password, for the reason above: whoever asks needs ecr:GetAuthorizationToken (aws sts get-caller-identity)"
else
    user=${REGISTRY_USER:-}
    if [[ -z $token && -n ${REGISTRY_TOKEN_PARAMETER:-} ]]; then
        token=$(aws ssm get-parameter --name "$REGISTRY_TOKEN_PARAMETER" --with-decryption --query Parameter.Value --output text) ||
            fail "the parameter $REGISTRY_TOKEN_PARAMETER was not to be had, for the reason above"
    fi
    [[ -n $user && -n $token ]] || fail "$registry wants a user and a password: set REGISTRY_USER and REGISTRY_TOKEN" \
        "(or REGISTRY_TOKEN_PARAMETER) in the environment"
fi
printf '%s' "$token" | "${docker[@]}" login --username "$user" --password-stdin "$registry" >&2 ||
    fail "$registry did not let $user in, for the reason above"
