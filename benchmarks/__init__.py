"""Benchmarks: both sides in one run, told as ratios."""
