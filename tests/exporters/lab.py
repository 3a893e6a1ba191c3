"""Real programs under load, their exporters, and a Prometheus that scrapes them all.

Starts everything on free loopback ports in a folder of its own, and stops it at the end. Then
`grayflag discover` must find exactly the packs that fit, and every signal of them must have rows,
but for those listed in EMPTY. With `--capture FOLDER` the expositions are kept as fixtures.
"""

import argparse
import contextlib
import glob
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import capture
import load

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent

# Longest that a program may take to answer after its start.
START_MAX = 60
# How long it may take until every signal has rows: a rate needs two scrapes of what has happened,
# and a busy machine starts things late.
ROWS_MAX = 120
# How long there is load before a capture, so that every trouble has happened.
CAPTURE_LOAD = 45

# Signals for which this lab has nothing, and why.
EMPTY = {
    "redis-replica-lag": "no replica",
    "mysql-replica-lag": "no replica",
    "postgres-replication-lag": "no replica",
    "postgres-statement-time": "needs the extension pg_stat_statements",
    "postgres-dead-rows": "this version of the exporter reads no tables by itself",
    "grpc-client-retries": "gRPC's plugin for Python measures attempts, not whole calls",
    "prometheus-latency-p99": "it scrapes native histograms",
}


class Failed(Exception):
    """Something that the lab needs does not work; the text says what."""


class Lab:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.children = []
        self.targets = {}
        self.ports = set()

    def port(self):
        """A port that nobody listens on, and that was not given away before."""
        while True:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            if port not in self.ports:
                self.ports.add(port)
                return port

    def dir(self, name, owner=None):
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        if owner and os.geteuid() == 0:
            shutil.chown(folder, owner, owner)
        return folder

    def start(self, name, command, env=None, owner=None):
        """Starts a program in a process group of its own; its output goes into a file."""
        if owner and os.geteuid() == 0:
            command = ["setpriv", "--reuid", owner, "--regid", owner, "--clear-groups", *command]
        log = open(self.folder / f"{name}.log", "wb")
        environment = {**os.environ, **(env or {})}
        try:
            child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.folder,
                start_new_session=True,
            )
        except FileNotFoundError as missing:
            raise Failed(f"{missing.filename} is not installed: tests/exporters.sh installs it")
        self.children.append((name, child))

    def answers(self, name, url, what=b""):
        """Waits until a page is there and has the text."""
        deadline = time.monotonic() + START_MAX
        problem = "no answer"
        while time.monotonic() < deadline:
            for started, child in self.children:
                if started == name and child.poll() is not None:
                    raise Failed(f"{name} ended at once:\n{self.log(name)}")
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    if what in answer.read():
                        return
                    problem = f"{what!r} is not in its answer"
            except (OSError, urllib.error.URLError) as error:
                problem = error
            time.sleep(0.1)
        raise Failed(f"{name} at {url}: {problem}\n{self.log(name)}")

    def listens(self, name, port):
        deadline = time.monotonic() + START_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.1)
        raise Failed(f"{name} does not listen on {port}:\n{self.log(name)}")

    def scrape(self, name, port, what, path="/metrics"):
        url = f"http://127.0.0.1:{port}{path}"
        self.answers(name, url, what)
        self.targets[name] = (port, path)

    def log(self, name):
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def stop(self):
        """Ends every process group that was started, the newest first."""
        for _, child in reversed(self.children):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        for _, child in reversed(self.children):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.1, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def run(command, **more):
    """Runs a program to its end."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    except FileNotFoundError as missing:
        raise Failed(f"{missing.filename} is not installed: tests/exporters.sh installs it")
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout


def as_user(owner, command):
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid", owner, "--regid", owner, "--clear-groups", *command]


def postgres(lab):
    folder, port = lab.dir("postgres", "postgres"), lab.port()
    tools = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not tools:
        raise Failed("PostgreSQL is not installed: tests/exporters.sh installs it")
    tools = tools[-1]
    data = folder / "data"
    run(as_user("postgres", [f"{tools}/initdb", "-D", str(data), "-U", "postgres", "-A", "trust"]))
    options = ["-c", f"port={port}", "-c", f"unix_socket_directories={folder}"]
    options += ["-c", "listen_addresses=127.0.0.1", "-c", "deadlock_timeout=50ms"]
    lab.start("postgres", [f"{tools}/postgres", "-D", data, *options], owner="postgres")
    lab.listens("postgres", port)
    exporter = lab.port()
    load.postgres(port)
    # It reads the tables of this database only.
    address = f"postgresql://postgres@127.0.0.1:{port}/shop?sslmode=disable"
    lab.start(
        "db-postgres",
        ["prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{exporter}"],
        {"DATA_SOURCE_NAME": address},
    )
    lab.scrape("db-postgres", exporter, b"pg_stat_database_xact_commit")
    return port


def redis(lab):
    folder, port = lab.dir("redis"), lab.port()
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", folder]
    command += ["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru", "--save", ""]
    lab.start("redis", command)
    lab.listens("redis", port)
    exporter = lab.port()
    command = ["prometheus-redis-exporter", f"-web.listen-address=127.0.0.1:{exporter}"]
    lab.start("cache-redis", [*command, f"-redis.addr=redis://127.0.0.1:{port}"])
    load.redis(port)
    lab.scrape("cache-redis", exporter, b"redis_keyspace_hits_total")


def mysql(lab):
    folder, port = lab.dir("mysql", "mysql"), lab.port()
    common = ["--no-defaults", f"--datadir={folder}/data"]
    run(
        as_user(
            "mysql",
            ["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
        )
    )
    command = ["mariadbd", *common, f"--port={port}", f"--socket={folder}/socket"]
    command += ["--bind-address=127.0.0.1", "--long-query-time=0.01", "--skip-log-bin"]
    lab.start("mysql", command, owner="mysql")
    lab.listens("mysql", port)
    exporter = lab.port()
    lab.start(
        "db-mysql",
        ["prometheus-mysqld-exporter", f"--web.listen-address=127.0.0.1:{exporter}"],
        {"DATA_SOURCE_NAME": f"root@tcp(127.0.0.1:{port})/"},
    )
    load.mysql(port)
    lab.scrape("db-mysql", exporter, b"mysql_global_status_questions")


def rabbitmq(lab):
    folder = lab.dir("rabbitmq", "rabbitmq")
    port, exporter, names, between = (lab.port() for _ in range(4))
    plugins, config = folder / "plugins", folder / "rabbitmq.conf"
    plugins.write_text("[rabbitmq_prometheus].\n")
    config.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\nprometheus.tcp.port = {exporter}\n"
        "prometheus.tcp.ip = 127.0.0.1\ncollect_statistics_interval = 2000\n"
    )
    env = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"packs{port}@localhost",
        "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
        "RABBITMQ_LOG_BASE": f"{folder}/log",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_DIST_PORT": str(between),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    # The server would start this one by itself, as a daemon that stays.
    lab.start("epmd", ["epmd", "-port", names, "-address", "127.0.0.1"], env)
    # Not Debian's wrapper, which insists on the system's own folders.
    lab.start("queue-rabbitmq", ["/usr/lib/rabbitmq/bin/rabbitmq-server"], env, owner="rabbitmq")
    lab.listens("queue-rabbitmq", port)
    load.rabbitmq(port)
    lab.scrape("queue-rabbitmq", exporter, b"rabbitmq_global_messages_received_total")
    families = "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics"
    lab.targets["queue-rabbitmq-detailed"] = (exporter, families)


def services(lab, database):
    """Services in Python, Node.js and Go, and a proxy before one of them."""
    django, proxy, own = lab.port(), lab.port(), lab.port()
    python = sys.executable
    env = {"DATABASE": str(lab.folder / "django.sqlite")}
    lab.start("http-django", [python, HERE / "django_shop.py", f"127.0.0.1:{django}"], env)
    lab.scrape("http-django", django, b"django_http_requests")
    config = lab.folder / "haproxy.cfg"
    config.write_text(
        "defaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n"
        f"frontend in\n bind 127.0.0.1:{proxy}\n default_backend shop\n"
        f"frontend own\n bind 127.0.0.1:{own}\n"
        " http-request use-service prometheus-exporter if { path /metrics }\n"
        f"backend shop\n server a 127.0.0.1:{django}\n server b 127.0.0.1:{django}\n"
    )
    lab.start("haproxy", ["haproxy", "-db", "-f", config])
    lab.scrape("haproxy", own, b"haproxy_backend_http_requests_total")
    load.http(f"http://127.0.0.1:{proxy}/buy")

    node = lab.port()
    lab.start("runtime-node", ["node", HERE / "node_shop.js", node, ROOT / "target/exporters/node"])
    lab.scrape("runtime-node", node, b"nodejs_eventloop_lag_p99_seconds")
    load.http(f"http://127.0.0.1:{node}/")

    go = lab.port()
    address = f"postgres://postgres@127.0.0.1:{database}/postgres?sslmode=disable"
    env = {"PG": address, "LISTEN": f"127.0.0.1:{go}"}
    lab.start("go-shop", [ROOT / "target/exporters/go-shop"], env)
    lab.scrape("go-shop", go, b"go_sql_wait_count_total")
    lab.targets["shop-native"] = (go, "/native")

    otel = lab.port()
    lab.start("shop", [python, HERE / "otel_shop.py", otel])
    lab.scrape("shop", otel, b"grpc_server_call_duration_seconds")


def prometheus(lab):
    """A backend that scrapes them all. Where it can, it takes native histograms."""
    port, folder = lab.port(), lab.dir("prometheus")
    lab.targets["prometheus"] = (port, "/metrics")
    jobs = []
    for name, (target, path) in lab.targets.items():
        page, _, query = path.partition("?")
        jobs.append(
            {
                "job_name": name,
                "metrics_path": page,
                "params": urllib.parse.parse_qs(query),
                "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
            }
        )
    rule = {"record": "targets:up", "expr": "sum(up)"}
    rules = folder / "rules.yml"
    rules.write_text(json.dumps({"groups": [{"name": "lab", "interval": "2s", "rules": [rule]}]}))
    config = {"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": jobs}
    config["rule_files"] = [str(rules)]
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))
    command = [newer("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=native-histograms"]
    lab.start("prometheus", command)
    url = f"http://127.0.0.1:{port}"
    lab.answers("prometheus", f"{url}/-/ready")
    load.http(f"{url}/api/v1/query?query=up")
    return url


def victoria(lab):
    """A backend that takes OTLP, and makes `vmrange` buckets of exponential histograms."""
    port, folder = lab.port(), lab.dir("victoria")
    relabel = folder / "relabel.yml"
    # docs/packs.md advises this line.
    relabel.write_text("- {source_labels: [service_name], target_label: job}\n")
    command = [newer("victoria-metrics"), f"-storageDataPath={folder}/data"]
    command += [f"-httpListenAddr=127.0.0.1:{port}", "-opentelemetry.usePrometheusNaming"]
    lab.start("victoria", [*command, f"-relabelConfig={relabel}"])
    url = f"http://127.0.0.1:{port}"
    lab.answers("victoria", f"{url}/health")
    push = f"{url}/opentelemetry/v1/metrics"
    lab.start("shop-otlp", [sys.executable, HERE / "otel_shop.py", push])
    return url


def newer(program):
    """The newer one that tests/newer.sh unpacked: only that takes OTLP and native histograms."""
    folder = pathlib.Path(os.environ.get("GRAYFLAG_NEWER", ROOT / "target/newer"))
    path = folder / program / "usr/bin" / program
    if not path.exists():
        raise Failed(f"{path} is not there: tests/install.sh fetches it")
    return path


def grayflag():
    path = pathlib.Path(os.environ.get("GRAYFLAG", ROOT / "target/debug/grayflag"))
    if not path.exists():
        raise Failed(f"{path} is not there: cargo build, or set GRAYFLAG")
    return path


def look(name, url, expected):
    """Tries the packs until they are as expected; returns what is wrong at last."""
    deadline = time.monotonic() + ROWS_MAX
    while True:
        seen, wrong = tried(url, expected)
        if not wrong or deadline < time.monotonic():
            print("\n".join([name, *seen, ""]))
            return wrong
        time.sleep(2)


def tried(url, expected):
    """Tries the packs once; returns what was seen, and what is wrong."""
    found = json.loads(run([grayflag(), "discover", "--url", url, "--format", "json"]))
    fit = {pack["name"]: pack for pack in found["packs"] if pack["fits"]}
    wrong = [f"{name} does not fit" for name in sorted(expected - fit.keys())]
    wrong += [f"{name} fits, and nothing here is of it" for name in sorted(fit.keys() - expected)]
    seen = []
    for name, pack in sorted(fit.items()):
        signals = pack["signals"]
        empty = [one for one in signals if not one["rows"] or one["nameless"]]
        seen.append(f"  {name:<20} {len(signals) - len(empty)} of {len(signals)} signals have rows")
        for one in empty:
            if one["name"] not in EMPTY:
                wrong.append(f"{name}: {one['name']} has no rows: {json.dumps(one)}")
    return seen, wrong


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--capture", metavar="FOLDER", help="keep the expositions as fixtures")
    options = options.parse_args()
    # Ended from outside, it still stops what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    grayflag()
    folder = tempfile.mkdtemp(prefix="grayflag-exporters-")
    os.chmod(folder, 0o755)
    lab = Lab(folder)
    began = time.monotonic()
    try:
        redis(lab)
        node = lab.port()
        command = ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{node}"]
        lab.start("machine-node", command)
        lab.scrape("machine-node", node, b"node_cpu_seconds_total")
        mysql(lab)
        rabbitmq(lab)
        services(lab, postgres(lab))
        scraping, pushed = prometheus(lab), victoria(lab)
        print(f"{len(lab.children)} programs run\n")
        if options.capture:
            time.sleep(CAPTURE_LOAD)
        wrong = look("Prometheus", scraping, set(capture.SOURCES))
        wrong += look("VictoriaMetrics", pushed, {"http", "db-conflicts-otel"})
        for name, child in lab.children:
            if child.poll() not in (None, 0):
                raise Failed(f"{name} has ended:\n{lab.log(name)}")
        if options.capture:
            age = time.monotonic() - began
            capture.keep(lab.targets, lab.folder, pathlib.Path(options.capture), age)
    except Failed as failed:
        wrong = [str(failed)]
    finally:
        load.stop.set()
        lab.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    print("failed" if wrong else "all packs that fit were found, and no others")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
