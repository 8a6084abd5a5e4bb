"""The mirrors, reached by name through `nbtools.registry`."""
