#!/usr/bin/env bash
# Tries the packs on real programs under load: installs what is missing (Debian's packages, PyPI,
# npm), starts seventeen programs on free loopback ports, and stops them all again. Within minutes
# `grayflag discover` must have found exactly the packs that fit. Root or passwordless
# sudo is needed only if something is missing.
#
#   tests/exporters.sh                                    tries
#   tests/exporters.sh --capture tests/data/exporters     tries, and keeps the expositions as fixtures
set -euo pipefail
cd "$(dirname "$0")/.."

source tests/apt.sh
home=target/exporters
mkdir -p "$home"

# A program of each package, the package, and the service that Debian starts with it.
packages=()
services=()
while read -r program package service; do
  if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null && ! [ -e "$program" ]; then
    packages+=("$package")
    if [ "$service" != - ]; then services+=("$service"); fi
  fi
done <<'LIST'
redis-server redis-server redis-server
prometheus-redis-exporter prometheus-redis-exporter prometheus-redis-exporter
prometheus-node-exporter prometheus-node-exporter prometheus-node-exporter
mariadbd mariadb-server mariadb
prometheus-mysqld-exporter prometheus-mysqld-exporter prometheus-mysqld-exporter
/usr/lib/postgresql postgresql postgresql
prometheus-postgres-exporter prometheus-postgres-exporter prometheus-postgres-exporter
rabbitmq-server rabbitmq-server rabbitmq-server
haproxy haproxy haproxy
setpriv util-linux -
node nodejs -
npm npm -
go golang-go -
/usr/share/gocode/src/github.com/prometheus/client_golang golang-github-prometheus-client-golang-dev -
/usr/share/gocode/src/github.com/lib/pq golang-github-lib-pq-dev -
/usr/share/gocode/src/github.com/grpc-ecosystem/go-grpc-prometheus golang-github-grpc-ecosystem-go-grpc-prometheus-dev -
LIST
if [ ${#packages[@]} -gt 0 ]; then apt_install "${packages[@]}"; fi
for service in "${services[@]}"; do quiet "$service"; done

modules=(django django-prometheus prometheus_client grpcio grpcio-observability opentelemetry-sdk
  opentelemetry-exporter-prometheus opentelemetry-exporter-otlp-proto-http pika psycopg2-binary
  PyMySQL redis)
if ! "$home/python/bin/python3" -c 'import django_prometheus, grpc_observability, pika, psycopg2, pymysql, redis
import opentelemetry.exporter.prometheus, opentelemetry.exporter.otlp.proto.http' 2>/dev/null; then
  say "installing Python modules into $home/python"
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
  rm -rf "$home/python"
  python3 -m venv "$home/python"
  "$home/python/bin/python3" -m pip install --quiet --disable-pip-version-check "${modules[@]}" </dev/null
fi
if ! [ -d "$home/node/node_modules/prom-client" ]; then
  say "installing prom-client into $home/node"
  mkdir -p "$home/node"
  npm install --silent --no-audit --no-fund --prefix "$home/node" prom-client </dev/null
fi
if ! [ "$home/go-shop" -nt tests/exporters/go/main.go ]; then
  say "building $home/go-shop"
  # Debian's libraries are a GOPATH, not modules.
  (export GO111MODULE=off GOPATH=/usr/share/gocode CGO_ENABLED=0 GOFLAGS=
    go build -o "$home/go-shop" tests/exporters/go/main.go)
fi
# Only newer backends take native histograms and OTLP.
bash tests/newer.sh target/newer prometheus victoria-metrics
[ -n "${GRAYFLAG:-}" ] || cargo build --quiet

say "trying the packs"
exec "$home/python/bin/python3" -B tests/exporters/lab.py "$@"
