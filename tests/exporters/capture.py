"""Keeps what the exporters of the lab expose as fixtures for tests/packs.rs.

Only families that some query of the pack names are kept: the rest says nothing about the pack.
"""

import re
import subprocess
import time
import tomllib
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

# Per pack: the target of the lab, and what it is a capture of, with Debian packages whose versions
# are told.
SOURCES = {
    "cache-redis": ("cache-redis", "prometheus-redis-exporter redis-server"),
    "db-mysql": ("db-mysql", "prometheus-mysqld-exporter mariadb-server"),
    "db-postgres": ("db-postgres", "prometheus-postgres-exporter postgresql-15"),
    "haproxy": ("haproxy", "haproxy"),
    "machine-node": ("machine-node", "prometheus-node-exporter"),
    "queue-rabbitmq": ("queue-rabbitmq", "rabbitmq-server"),
    "http-django": ("http-django", "pip:django-prometheus pip:django"),
    "runtime-node": ("runtime-node", "npm:prom-client nodejs"),
    "runtime-go": ("go-shop", "golang-github-prometheus-client-golang-dev"),
    "runtime-process": ("http-django", "pip:prometheus_client"),
    "pool-go-sql": ("go-shop", "golang-github-prometheus-client-golang-dev"),
    "grpc-go": ("go-shop", "golang-github-grpc-ecosystem-go-grpc-prometheus-dev"),
    "http": ("shop", "pip:opentelemetry-exporter-prometheus"),
    "db-conflicts-otel": ("shop", "pip:opentelemetry-exporter-prometheus"),
    "grpc-otel": ("shop", "pip:grpcio-observability pip:opentelemetry-exporter-prometheus"),
    "prometheus": ("prometheus", "prometheus:"),
    # Native histograms have no text form: seen live only.
    "http-native": (None, ""),
}


def names(pack):
    """Patterns of the metrics that a pack's queries name; other words of them match nothing."""
    text = (ROOT / "rules/signals" / f"{pack}.toml").read_text()
    found = set()
    for one in tomllib.loads(text)["signal"]:
        queries = [one["query"], one.get("min_traffic", {}).get("query", "")]
        queries.append(one.get("breakdown", {}).get("query", ""))
        found |= set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", " ".join(queries)))
        found |= set(one.get("requires", []))
        found |= set(re.findall(r'__name__=~"([^"]+)"', " ".join(queries)))
    return found


def version(what):
    kind, _, name = what.rpartition(":")
    if kind == "pip":
        from importlib.metadata import version as of

        return f"{name} {of(name)}"
    if kind == "npm":
        import json

        path = ROOT / "target/exporters/node/node_modules" / name / "package.json"
        return f"{name} {json.loads(path.read_text())['version']}"
    if kind == "prometheus":
        path = ROOT / "target/newer/prometheus/usr/bin/prometheus"
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
        return f"Prometheus {said.stdout.split()[2].split('+')[0]}"
    said = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=True
    )
    return f"{name} {said.stdout.split(':')[-1].split('-')[0].split('+')[0]}"


def text_of(target, targets):
    port, path = targets[target]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


def keep(targets, lab, folder, age):
    """Writes a file for each pack; the lab's own folder has another name every time."""
    for pack, (target, what) in SOURCES.items():
        if target is None:
            continue
        text = text_of(target, targets)
        if pack == "queue-rabbitmq":
            text += text_of("queue-rabbitmq-detailed", targets)
        text = text.replace(str(lab), "/lab")
        wanted, kept, head = names(pack), [], []
        for line in text.splitlines():
            if line.startswith("# TYPE"):
                head = [line]
            elif line and not line.startswith("#"):
                name = re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", line).group()
                if any(re.fullmatch(one, name) for one in wanted):
                    kept += [*head, line]
                    head = []
        source = ", ".join(version(one) for one in what.split())
        taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # How long its counters ran: those of a machine since it was started, the others since the
        # lab was.
        ran = float(Path("/proc/uptime").read_text().split()[0]) if pack == "machine-node" else age
        header = [f"# Source: captured by tests/exporters.sh from {source}"]
        header += [f"# Taken: {taken}", f"# Hours: {ran / 3600:.4f}"]
        path = folder / f"{pack}.prom"
        # What people wrote about the file stays.
        old = path.read_text().splitlines() if path.exists() else []
        header += [line for line in old if re.match("# (Without|Quiet|Also|Grows): ", line)]
        path.write_text("\n".join(header + kept) + "\n")
