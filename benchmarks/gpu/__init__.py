"""The CUDA kernels against what else runs on the same GPU: ``python -m pantiny.benchmarks.gpu``.

Groups of rows in the order of their importance, each within a share of the time. A child process
measures and writes the JSON after every row; where it dies or hangs, the row says so and another
goes on behind that group. ``--dry-run`` runs everything on the emulator and torch's CPU, tiny.
"""
