"""Warm kernels: a process with the imports loaded forks one kernel for each that asks."""
