#!/bin/sh
# Writes Ansible's inventory again, from what Terraform knows of the environment that it was initialised for.
# usage: terraform/hosts.sh staging|production [FILE]
set -eu
environment=${1:?usage: terraform/hosts.sh staging|production [FILE]}
here=$(cd "$(dirname "$0")" && pwd)
file=${2:-$here/../ansible/hosts.cfg}

umask 027
trap 'rm -f "$file.new"' EXIT
# Without any outputs Terraform prints a warning in their place, and is content.
"${TERRAFORM:-terraform}" -chdir="$here" output -no-color -raw hosts_cfg >"$file.new" || : >"$file.new"
grep -q '^pegboard_environment=' "$file.new" || {
    echo "error: Terraform knows no hosts: run terraform init and terraform apply for $environment first" >&2
    exit 1
}
grep -qx "pegboard_environment=$environment" "$file.new" || {
    echo "error: terraform/ was initialised for another environment than $environment:" \
        "terraform init -reconfigure -backend-config=$environment.s3.tfbackend -backend-config=bucket=…" >&2
    exit 1
}
mv "$file.new" "$file"
