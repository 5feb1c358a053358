"""A sweep: one array with an element for each combination; the best result wins.

The values reach the command exactly as they are here: no shell reads them.
"""

import itertools

from launcher import Client

TRAIN = 'echo "lr $0, seed $1" >&2; echo "0.$1$(echo "$0" | tail -c 2)"'
"""Stands in for a training: it prints its accuracy."""

combinations = [
    {"lr": lr, "seed": seed} for lr, seed in itertools.product([0.1, 0.03, 0.01], [1, 2])
]
results = Client().map(
    "busybox",
    ["sh", "-c", TRAIN, "{lr}", "{seed}"],
    combinations,
    profile="1g.6gb",
    max_parallel=2,
)
accuracy = {}
for result in results.as_completed():
    if result.ok:
        accuracy[tuple(result.value.items())] = float(result.output())
    else:
        print(result.value, result.outcome)

if not accuracy:
    raise SystemExit("no element completed: `launch ps -a` says why")
best = max(accuracy, key=lambda values: accuracy[values])
print(
    f"{len(accuracy)} of {len(results)} completed; the best is {accuracy[best]} with {dict(best)}"
)
