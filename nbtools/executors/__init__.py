"""Implementations of `nbtools.executor.Executor`, reached by name through `registry`."""
