"""The benchmark harness: ``pantiny bench`` and ``python -m pantiny.benchmarks``.

Correctness gate before any timing, candidates interleaved, buffers rotated, the machine's
roof measured beside every group, losing rows printed. JSON is the truth; the tables and the
plot are made from it. Needs what the package needs; baselines that are not installed are
rows that say so.
"""
