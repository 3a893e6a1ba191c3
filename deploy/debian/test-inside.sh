#!/bin/bash
# What deploy/debian/test.sh does inside its machine.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

config=/etc/grayflag/grayflag.toml
drop_in=/run/systemd/system/grayflag.service.d
api=http://127.0.0.1:9469

show() {
    systemctl show grayflag --property "$1" --value
}
fail() {
    echo "failed: $*" >&2
    systemctl status grayflag --no-pager --full >&2 || true
    journalctl --unit grayflag --no-pager --lines 40 >&2 || true
    exit 1
}
# Looks until a command says yes, for a minute.
until_true() {
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    fail "never: $*"
}
answers() { # STATUS PATH [CURL-OPTION…]
    local want=$1 path=$2
    shift 2
    [ "$(curl --silent --noproxy '*' --output /dev/null --write-out '%{http_code}' "$@" "$api$path")" = "$want" ]
}

echo "== install"
dpkg --install /srv/packages/old.deb
[ "$(stat -c %U:%G:%a $config)" = root:grayflag:640 ] || fail "mode of $config"
[ "$(stat -c %U:%G:%a /var/lib/grayflag)" = grayflag:grayflag:750 ] || fail "mode of the state"
systemctl is-enabled --quiet grayflag && fail "enabled before anybody configured it"
runuser -u grayflag -- grayflag check --config $config

echo "== start, without a backend"
systemctl enable --now grayflag
systemctl is-active --quiet grayflag || fail "not active"
answers 200 /-/healthy || fail "not healthy"
answers 503 /-/ready || fail "ready without a backend"
waits() { [[ $(show StatusText) == "Backend cannot be read"* ]]; }
until_true waits
[ "$(ps -o user= -p "$(show MainPID)")" = grayflag ] || fail "runs as somebody else"

if command -v prometheus >/dev/null; then
    echo "== a backend comes"
    mkdir -p /srv/prometheus
    printf 'scrape_configs: [{job_name: self, scrape_interval: 1s, static_configs: [{targets: ["127.0.0.1:9090"]}]}]\n' >/srv/prometheus/prometheus.yml
    systemd-run --quiet --unit backend prometheus --config.file=/srv/prometheus/prometheus.yml \
        --storage.tsdb.path=/srv/prometheus/data --web.listen-address=127.0.0.1:9090
    watching() { [[ $(show StatusText) == Watching* ]]; }
    until_true watching
    until_true answers 200 /-/ready
    show StatusText
    runuser -u grayflag -- grayflag incidents --config $config
fi

echo "== a secret from a credential"
mkdir -p $drop_in
install -m 0600 /dev/null /etc/grayflag/token
printf '0123456789abcdef0123456789abcdef\n' >/etc/grayflag/token
printf '[Service]\nLoadCredential=http-token:/etc/grayflag/token\n' >$drop_in/token.conf
sed -i 's/^# token_file = /token_file = /' $config
systemctl daemon-reload
systemctl restart grayflag
body='{"kind": "deploy", "service": "checkout", "what": "v42"}'
post=(--header 'content-type: application/json' --data "$body")
answers 401 /api/v1/changes "${post[@]}" || fail "posted without a token"
token=$(cat /etc/grayflag/token)
answers 201 /api/v1/changes "${post[@]}" --header "authorization: Bearer $token" || fail "not posted"

echo "== a loop that stands still is started anew"
printf '[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\nRestartSec=100ms\n' >$drop_in/watchdog.conf
systemctl daemon-reload
systemctl restart grayflag
sleep 7
[ "$(show NRestarts)" = 0 ] || fail "restarted although it goes on"
stopped=$(show MainPID)
kill -STOP "$stopped"
restarted() { [ "$(show NRestarts)" = 1 ] && systemctl is-active --quiet grayflag; }
until_true restarted
[[ $(journalctl --unit grayflag --no-pager) == *'Watchdog timeout'* ]] || fail "another reason"
rm $drop_in/watchdog.conf
systemctl daemon-reload

echo "== upgrade"
sed -i 's/^timezone = "UTC"/timezone = "Europe\/Berlin"/' $config
before=$(show MainPID)
dpkg --install /srv/packages/new.deb
systemctl is-active --quiet grayflag || fail "not active after the upgrade"
[ "$(show MainPID)" != "$before" ] || fail "the old program goes on"
grep -q Europe/Berlin $config || fail "an edit is gone"
[[ $(curl --silent --noproxy '*' --fail $api/api/v1/changes) == *v42* ]] || fail "the state is gone"

echo "== remove"
dpkg --remove grayflag
systemctl is-active --quiet grayflag && fail "still running"
[ -e /var/lib/grayflag/grayflag.db ] || fail "removing took the state"
grep -q Europe/Berlin $config || fail "removing took the configuration"

echo "== purge"
rm /etc/grayflag/token
dpkg --purge grayflag
[ ! -e /var/lib/grayflag ] || fail "state is left"
[ ! -e /etc/grayflag ] || fail "configuration is left: $(ls /etc/grayflag)"
