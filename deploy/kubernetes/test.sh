#!/bin/sh
# Checks the manifests without a cluster: deploy/kubernetes/test.sh
#
# Needs kubectl and kubernetes-validate (pip install kubernetes-validate), which brings the schemas
# of every version along. That the configuration within loads is tests/deploy.rs.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for tool in kubectl kubernetes-validate; do
    command -v "$tool" >/dev/null || { echo "test.sh: $tool is missing" >&2; exit 2; }
done
manifests=$(mktemp)
trap 'rm -f "$manifests"' EXIT
kubectl kustomize "$here" >"$manifests"
kubernetes-validate --strict "$manifests"

# A schema that takes everything would prove nothing.
sed 's/containerPort:/containerPrt:/' "$manifests" >"$manifests.wrong"
if kubernetes-validate --strict "$manifests.wrong" >/dev/null 2>&1; then
    echo "test.sh: a misspelt key was taken" >&2
    exit 1
fi
rm -f "$manifests.wrong"

# What kustomize adds may not change whom the policy is about.
kubectl kustomize "$here" | grep -q 'app.kubernetes.io/name: prometheus' || {
    echo "test.sh: the policy no longer names the backend" >&2
    exit 1
}
