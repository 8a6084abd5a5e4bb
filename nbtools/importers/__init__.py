"""The importers: one file a tracker."""
