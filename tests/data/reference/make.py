"""Makes reference.json: what src/stats must return, computed with NumPy and SciPy.

    pip install numpy scipy && python make.py

The formulas are those of the study behind the methods, written for whole arrays where the Rust
code streams. Four rules differ from that study and are marked RULE here: they are decisions
of the product, tested on their own in Rust.

Inputs are not stored: both sides make them from the same integer generator.
"""
import json
import math
import os
import warnings

import numpy as np
from scipy import stats

warnings.filterwarnings("ignore", category=RuntimeWarning)
WEEK, DAY, PER = 2016, 288, 3
HALF_LIVES = [2, 6, 12, 24, 48]


# ---------- inputs, the same in tests/stats_reference.rs ----------
class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        return (z >> 11) / (1 << 53)

    def noise(self):
        return (self.uniform() + self.uniform() + self.uniform() + self.uniform() - 2.0) * 1.75


def season(i):
    """Office hours on working days, a triangle over the day, a job on Tuesdays."""
    day, time = i // DAY % 7, i % DAY
    triangle = abs(time - 144) / 36.0
    office = 3.0 if day < 5 and 108 <= time < 216 else 0.0
    job = 2.0 if day == 1 and 24 <= time < 36 else 0.0
    return 20.0 + triangle + office + job


def series(seed, weeks):
    random, ar, out = Random(seed), 0.0, []
    for i in range(weeks * WEEK):
        ar = 0.6 * ar + 0.8 * random.noise()
        spike = 9.0 if random.uniform() < 0.003 else 0.0
        incident = 5.0 if 1500 <= i < 1560 or 4100 <= i < 4160 else 0.0
        missing = random.uniform() < 0.01
        out.append(math.nan if missing else season(i) + ar + spike + incident)
    return np.array(out)


def counts(seed, n):
    random, k, mu = Random(seed), [], []
    for i in range(n):
        rate = 0.05 + 0.01 * (abs(i % DAY - 144) / 36.0)
        burst = 8 if random.uniform() < 0.002 else 0
        seen = burst
        for _ in range(6):
            seen += 1 if random.uniform() < rate else 0
        k.append(float(seen))
        mu.append(6.0 * rate)
    return np.array(k), np.array(mu)


def drift(seed, n, slope):
    random, ar, out = Random(seed), 0.0, []
    for i in range(n):
        ar = 0.5 * ar + 0.4 * random.noise()
        out.append((i * 0.5, 10.0 + slope * i * 0.5 + ar))
    return out


# ---------- the profile of the week ----------
def interpolate(bins):
    centre = (np.arange(WEEK) + 0.5) / PER - 0.5
    low = np.floor(centre).astype(int)
    part = centre - low
    n = len(bins)
    return bins[low % n] * (1 - part) + bins[(low + 1) % n] * part


def day_types(y):
    weeks = len(y) // WEEK
    x = y.reshape(weeks, 7, DAY // PER, PER)
    off = np.nanmedian(x, axis=(0, 2, 3))
    out = np.empty((7, DAY // PER))
    for group in ([0, 1, 2, 3, 4], [5, 6]):
        course = np.nanmedian(x[:, group] - off[group][None, :, None, None], axis=(0, 1, 3))
        for day in group:
            out[day] = course + off[day]
    return out.reshape(-1)


def fit(y):
    weeks = len(y) // WEEK
    base = day_types(y)
    r = np.nanmedian(y.reshape(weeks, WEEK // PER, PER), axis=2) - base[None]
    if weeks == 1:
        deviation = np.zeros_like(base)
    elif weeks <= 3:
        low, high = np.nanmin(r, axis=0), np.nanmax(r, axis=0)
        deviation = np.where(low > 0, low, np.where(high < 0, high, 0.0))
    else:
        r0 = np.sort(np.where(np.isnan(r), 0, r), axis=0)
        low, high = r0[1], r0[-2]
        deviation = np.where(low > 0, low, np.where(high < 0, high, 0.0))
    # RULE: what was seen in one week only does not repeat.
    deviation = np.where((~np.isnan(r)).sum(axis=0) < 2, 0.0, deviation)
    return interpolate(base + deviation)


def mask(y):
    r = y - np.tile(fit(y), len(y) // WEEK)
    z = np.where(np.isnan(r), 0, r / (1.4826022185056018 * np.nanmedian(np.abs(r))))
    mean = np.convolve(np.clip(z, -4, 4), np.ones(12) / 12, "same")
    bad = np.convolve((np.abs(mean) > 2.0).astype(float), np.ones(12), "same") > 0
    return bad if bad.mean() < 0.25 else np.zeros(len(y), bool)


def rolling_origin(y):
    weeks, out = len(y) // WEEK, np.empty_like(y)
    for w in range(weeks):
        known = y[WEEK:] if w == 0 else y[: w * WEEK]
        out[w * WEEK : (w + 1) * WEEK] = y[w * WEEK : (w + 1) * WEEK] - fit(known)
    return out


def scales(r):
    slot = np.arange(len(r)) % WEEK
    group = np.where(slot // DAY >= 5, 8, 0) + slot % DAY // 36
    overall = 1.4826022185056018 * np.nanmedian(np.abs(r))
    out = np.full(16, overall)
    for g in range(16):
        x = r[(group == g) & ~np.isnan(r)]
        if len(x) >= 40:
            m, w = 1.4826022185056018 * np.median(np.abs(x)), len(x) / (len(x) + 60.0)
            out[g] = math.sqrt(w * m * m + (1 - w) * overall * overall)
    return np.maximum(out, 0.3 * overall), group


# ---------- the banks ----------
def bank(z):
    weights = [1 - 0.5 ** (1 / h) for h in HALF_LIVES]
    slow_weight, slow, e = 1 - 0.5 ** (1 / 576), 0.0, np.zeros(5)
    hours_weight, hours, between = 1 - 0.5 ** (1 / 120), 0.0, np.full(len(z), np.nan)
    out, gap = np.full((5, len(z)), np.nan), 0
    for t, x in enumerate(z):
        if x == x:
            # RULE: gaps of more than two hours decay towards the slow mean.
            if gap > 24:
                e = slow + (e - slow) * 0.5 ** (gap / np.array(HALF_LIVES))
                hours = slow + (hours - slow) * 0.5 ** (gap / 120)
            gap = 0
            slow += slow_weight * min(max(x - slow, -3), 3)
            hours += hours_weight * min(max(x - hours, -3), 3)
            for j in range(5):
                e[j] += weights[j] * (x - e[j])
        else:
            gap += 1
        if gap <= 24:
            out[:, t], between[t] = e - slow, hours - slow
    return out, between


def spread(paths):
    q = np.nanquantile(paths, [0.16, 0.84, 0.05, 0.95], axis=1)
    return np.maximum((q[1] - q[0]) / 2, (q[3] - q[2]) / 3.29)


def count_bank(k, mu):
    # RULE: the cap is 30 times the expectation where that is more.
    cap = np.maximum(np.ceil(mu + 6 * np.sqrt(mu + 1) + 2), 30 * mu)
    weights = [1 - 0.5 ** (1 / h) for h in HALF_LIVES]
    a, b, out = np.zeros(5), np.zeros(5), np.zeros((5, len(k)))
    for t in range(len(k)):
        for j in range(5):
            a[j] = (1 - weights[j]) * a[j] + min(k[t], cap[t])
            b[j] = (1 - weights[j]) * b[j] + mu[t]
            d = 2 * ((a[j] * math.log(a[j] / b[j]) if a[j] > 0 else 0.0) - (a[j] - b[j]))
            out[j, t] = math.sqrt(max(d, 0.0)) * (1 if a[j] > b[j] else -1)
    return out


# ---------- thresholds and trends ----------
def peaks(path, rearm, quiet_blocks):
    out, peak, quiet = [], -1e9, 0
    for m in path:
        if m != m:
            continue
        if m > peak:
            peak, quiet = m, 0
        elif m < rearm * peak:
            quiet += 1
        else:
            quiet = 0
        if quiet >= quiet_blocks:
            out.append(peak)
            peak, quiet = m, 0
    return out


def tail(found, weeks):
    pk = np.sort(np.array(found))[::-1]
    k = min(round(5 * weeks), len(pk) - 1)
    excess = np.sort(pk[:k] - pk[k])
    q, mean = max(np.median(excess) / math.log(2), 1e-3), excess.mean()
    return pk[k], 0.5 * q + 0.5 * min(mean, 2 * q), k


def trend(points, limit):
    t, z = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    k = len(z)
    i, j = np.triu_indices(k, 1)
    slopes = np.sort((z[j] - z[i]) / (t[j] - t[i]))
    b = np.median(slopes)
    a = np.median(z - b * (t - t.mean()))
    r = z - a - b * (t - t.mean())
    rho = np.clip((r[1:] * r[:-1]).sum() / (r**2).sum() + (1 + 3 * 0.5) / k, 0, 0.95)
    v = math.sqrt(k * (k - 1) * (2 * k + 5) / 18 * (1 + rho) / (1 - rho))
    n, u = len(slopes), stats.norm.isf(0.1)
    low = slopes[int(np.clip((n - u * v) / 2, 0, n - 1))]
    high = slopes[int(np.clip((n + u * v) / 2, 0, n - 1))]
    lever = t[-1] - t.mean()  # RULE: the line is read at the last point.

    def hours(slope):
        return None if slope <= 1e-6 else max(0.0, (limit - (a + slope * lever)) / slope)

    assert abs(b - stats.theilslopes(z, t).slope) < 1e-12, "SciPy disagrees"
    return dict(
        slope=b, level=a + b * lever, lo=low, hi=high,
        best=hours(b), earliest=hours(high), latest=hours(low),
    )


def rounded(x):
    if isinstance(x, dict):
        return {key: rounded(value) for key, value in x.items()}
    if isinstance(x, (list, tuple, np.ndarray)):
        return [rounded(value) for value in x]
    if isinstance(x, (float, np.floating)):
        return None if math.isnan(x) else float(f"{x:.10g}")
    return int(x) if isinstance(x, np.integer) else x


def main():
    y = series(1, 4)
    out = {"made_with": f"numpy {np.__version__}, scipy {__import__('scipy').__version__}"}

    x = y[~np.isnan(y)][:501]
    q = np.quantile(x, [0.16, 0.84, 0.05, 0.95])
    out["robust"] = dict(
        median=np.median(x), median_even=np.median(x[:500]),
        quantiles=[[p, np.quantile(x, p)] for p in (0.0, 0.01, 0.16, 0.5, 0.777, 0.99, 1.0)],
        mad_sigma=stats.median_abs_deviation(x, scale="normal"),
        spread=max((q[1] - q[0]) / 2, (q[3] - q[2]) / 3.29),
    )

    out["profiles"] = [dict(weeks=w, every_17=fit(y[: w * WEEK])[::17]) for w in (1, 2, 3, 4)]
    bad = mask(y)
    out["masked"] = np.flatnonzero(bad)
    masked = np.where(bad, np.nan, y)
    r = rolling_origin(masked)
    s, group = scales(r)
    z = np.clip(r / s[group], -6, 6)
    paths, between = bank(z)
    sds = np.maximum(spread(paths[:, 576:]), 0.15)
    score = (paths / sds[:, None]).max(axis=0)
    out["rolling"] = dict(every_41=r[::41], scales=s)
    out["bank"] = dict(every_101=paths[:, ::101], sds=sds, between=between[::101])

    found = peaks(score[576:], 0.7, 12)
    weeks = (4 * WEEK - 576) / WEEK
    u, b, k = tail(found, weeks)
    out["tail"] = dict(
        n_peaks=len(found), largest=np.sort(found)[::-1][:12], u=u, b=b, k=k,
        thresholds=[[rate, u + b * math.log(k / weeks / rate)] for rate in (5.0, 1.0, 0.25, 0.05)],
    )

    kk, mu = counts(2, 2 * WEEK)
    deviance = count_bank(kk, mu)
    q99 = np.quantile(deviance[:, DAY:], 0.99, axis=1) / 2.33
    keep = kk <= max(np.quantile(kk, 0.995), 1)
    out["count"] = dict(
        every_101=deviance[:, ::101],
        sds=np.maximum(np.maximum(spread(deviance[:, DAY:]), q99), 0.5),
        base_rate=(kk[keep].sum() + 0.5) / (mu[keep].sum() + 1.0),
    )

    random = Random(3)
    table = np.array([[4 * random.noise() for _ in range(5)] for _ in range(8)])
    clipped = np.clip(table, 0, 6)
    by_scale = np.log(1 - 0.2 + 0.2 * np.exp(clipped**2 / 2)).sum(axis=0)
    out["combine"] = dict(
        xie_siegmund=by_scale, g=math.sqrt(2 * by_scale.max()), a=table.max()
    )

    cases = ((4, 8, 0.5, 30.0), (5, 24, 0.3, 40.0), (6, 48, 0.02, 16.0))
    out["trends"] = [
        dict(seed=seed, n=n, slope_in=m, limit=c, **trend(drift(seed, n, m), c))
        for seed, n, m, c in cases
    ]

    zz = np.array([v[1] for v in drift(7, 400, 0.0)])
    centred = zz - zz.mean()
    out["surprise"] = dict(
        normal=[[e, stats.norm.sf(e)] for e in (-2.0, 0.0, 0.5, 1.2816, 3.0, 4.5, 6.5)],
        autocorrelation=(centred[1:] * centred[:-1]).sum()
        / ((centred[1:] ** 2 + centred[:-1] ** 2) / 2).sum(),
    )

    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference.json")
    with open(path, "w") as file:
        file.write("{\n")
        lines = [f"{json.dumps(key)}: {json.dumps(rounded(value))}" for key, value in out.items()]
        file.write(",\n".join(lines) + "\n}\n")


main()
