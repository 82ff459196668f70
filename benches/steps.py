#!/usr/bin/env python3
"""Per five minutes of a stream: medians over its steps of work and time, from the events of `qasr listen --json`.

    qasr listen --json ... | benches/steps.py

The last lines compare minutes 25-30 with minutes 1-5, and give the totals that the command counted itself.
"""
import json
import statistics
import sys

COLUMNS = [
    ("encode_ms", "encoder ms"), ("prefill_ms", "prefill ms"), ("decode_ms", "steps ms"), ("total_ms", "all ms"),
    ("tokens_prefilled", "prefilled"), ("tokens_reused", "reused"), ("tokens_verified", "verified"),
    ("tokens_kept", "kept"), ("tokens_generated", "generated"),
]


def main():
    steps, finals, end = [], 0, {}
    for line in sys.stdin:
        event = json.loads(line)
        if event["event"] == "partial":
            steps.append((event["up_to"], event["cost"], event["lag_ms"]))
        elif event["event"] == "final":
            finals += 1
        elif event["event"] == "end":
            end = event
    print("minutes  steps  " + "  ".join(f"{name:>10}" for _, name in COLUMNS) + "      lag ms")
    last = steps[-1][0]
    for start in range(0, int(last) + 1, 300):
        print(row(f"{start // 60}-{start // 60 + 5}", [s for s in steps if start <= s[0] < start + 300]))
    early = [s for s in steps if 60 <= s[0] < 300]
    late = [s for s in steps if 1500 <= s[0] < 1800]
    if early and late:
        cost = [statistics.median(s[1]["total_ms"] for s in part) for part in (early, late)]
        print(f"median step: {cost[0]:.0f} ms in minutes 1-5, {cost[1]:.0f} ms in minutes 25-30: {cost[1] / cost[0]:.3f}x")
    print(f"{finals} utterances; " + json.dumps({k: end.get(k) for k in
          ("audio", "steps", "median_step_ms", "p95_step_ms", "largest_lag_ms", "rtf", "revisions_refused", "peak_rss_bytes")}))


def row(name, steps):
    if not steps:
        return f"{name:>7}  {0:5}"
    medians = [statistics.median(step[1][key] for step in steps) for key, _ in COLUMNS]
    lag = statistics.median(step[2] for step in steps)
    return f"{name:>7}  {len(steps):5}  " + "  ".join(f"{value:10.0f}" for value in medians) + f"  {lag:10.0f}"


main()
