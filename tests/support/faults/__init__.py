"""Fault histories: the real coordinator, client, committer and training loop over a simulated world.

A history is a function of its seed. Threads take turns on one simulated clock, so that any moment can be chosen for a
death, a freeze or a lost message, and chosen again.
"""
