"""Provisioning as work: what a box should be, and each plan for it from the first look to the last.

intents   what a provider says of a BRAS, kept by its NAS entry
models    intents, rows of ours that bear no mark, and jobs with all that was planned
store     a job's states: planned, approved, cancelled, done, and what follows from each
facts     all that a plan is made from, read in one transaction
runner    who does it: one at a time for each box, in a thread, and whoever takes over from a process that died
"""
