"""Measurements beside the peer, FreeRADIUS 3.2, in the same run on the same machine: `make bench`.

`radload.c` is the load generator, `freeradius_baseline.sh` starts the peer as its documentation tunes it, `__main__`
runs the rounds, alternating the two, and writes one table to `bench/results/`. docs/benchmarks.md says how to read it.
"""
