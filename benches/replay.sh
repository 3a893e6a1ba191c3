#!/bin/sh
# What a replay of months costs: time and memory with and without kept downloads, beside a bare
# download of the same data. Prints a row of the table in docs/replay.md.
#
#   cargo build --release && benches/replay.sh [DAYS] [SERVICES] [STEP_SECONDS]
#
# Ten signals for each service. Needs victoria-metrics, curl and python3. Everything is in a
# temporary folder, which goes at the end.
set -eu
days=${1:-90} services=${2:-100} step=${3:-300}
program=${GRAYFLAG:-target/release/grayflag}
port=${PORT:-18428}
work=$(mktemp -d)
url=http://127.0.0.1:$port
victoria-metrics -storageDataPath="$work/data" -httpListenAddr=127.0.0.1:"$port" \
    -retentionPeriod=100y -search.latencyOffset=1ms -loggerLevel=ERROR \
    -search.maxPointsPerTimeseries=100000 2>"$work/log" &
server=$!
trap 'kill $server; wait $server || true; rm -rf "$work"' EXIT
until curl -fs "$url/health" >"$work/health"; do
    kill -0 $server
    sleep 0.1
done

# Four weeks to learn from, and then the days to replay. A daily wave and noise that lasts.
python3 - "$days" "$services" "$step" "$work" <<'PYTHON' | curl -fsS -T - "$url/api/v1/import"
import json, math, random, sys
days, services, step, work = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
end = 1772323200
start = end - (days + 28) * 86400
times = list(range(start, end + 1, step))
stamps = json.dumps([at * 1000 for at in times])
wave = [1 + 0.3 * math.sin(2 * math.pi * at / 86400) for at in times]
roles = ["latency", "latency_typical", "traffic", "errors", "queue_age", "pool_wait",
         "dependency_latency", "retries", "cpu", "memory"]
rules = []
for n, role in enumerate(roles):
    extra = 'dependency = "dependency"\n' if role.startswith("dependency") or role == "retries" else ""
    rules.append(f'[[signal]]\nname = "s{n}"\nrole = "{role}"\nquery = "bench_s{n}"\n'
                 f'service = "service"\n{extra}min_effect = {{ relative = 0.1 }}\n')
    for service in range(services):
        random.seed(n * 100_000 + service)
        level, values = 0.0, []
        for part in wave:
            level = 0.8 * level + random.gauss(0, 0.03)
            values.append(round(0.01 * (n + 1) * part * math.exp(level), 6))
        metric = {"__name__": f"bench_s{n}", "service": f"svc-{service}"}
        if extra:
            metric["dependency"] = "db"
        line = json.dumps(metric)
        sys.stdout.write(f'{{"metric":{line},"values":{json.dumps(values)},"timestamps":{stamps}}}\n')
open(f"{work}/rules.toml", "w").write("\n".join(rules))
PYTHON
curl -fsS "$url/internal/force_flush" >"$work/flushed"
cat >"$work/grayflag.toml" <<EOT
[poll]
interval = "${step}s"
history = "4w"
[source]
kind = "prometheus"
url = "$url"
[rules]
paths = ["rules.toml", "builtin:causes"]
EOT

python3 - "$days" "$services" "$step" "$work" "$url" "$program" <<'PYTHON'
import os, subprocess, sys, time
days, services, step, work, url, program = sys.argv[1:]
days, step = int(days), int(step)
end = 1772323200
start, first = end - days * 86400, end - (days + 28) * 86400

def run(*command):
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    took = time.monotonic() - began
    return took, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime

# The same chunks that a replay asks for: learning in blocks, then in ticks; four at a time.
asked = []
for n in range(10):
    for begin, until, every in ((first, start - 300, 300), (start, end, step)):
        length = 2048 * every
        while begin <= until:
            last = min(begin // length * length + length - every, until)
            asked.append(f"{url}/api/v1/query_range?query=bench_s{n}&nocache=1"
                         f"&start={begin}&end={last}&step={every}")
            begin = last + every
urls = f"{work}/urls"
open(urls, "w").write("".join(f'url = "{one}"\noutput = "/dev/null"\n' for one in asked))
bare, _, bare_cpu = run("curl", "-fsS", "--compressed", "--parallel", "--parallel-max", "4", "-K", urls)

at = lambda seconds: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
replay = [program, "replay", "--config", f"{work}/grayflag.toml", "--format", "jsonl",
          "--from", at(start), "--to", at(end)]
cache = ["--cache", f"{work}/cache"]
plain = run(*replay, "--no-cache")
cold, warm = run(*replay, *cache), run(*replay, *cache)
size = sum(os.path.getsize(f"{work}/cache/{name}") for name in os.listdir(f"{work}/cache"))
print(f"| {days} d, {int(services) * 10} series, every {step} s | {bare:.1f} s "
      f"| {plain[0]:.1f} s ({plain[2]:.0f} s CPU) | {cold[0]:.1f} s | {warm[0]:.1f} s ({warm[2]:.0f} s CPU) "
      f"| {plain[0] / bare:.1f}, {warm[0] / bare:.1f} | {plain[1]:.0f}, {cold[1]:.0f}, {warm[1]:.0f} MB "
      f"| {size / 1e6:.0f} MB |")
PYTHON
