"""Git hygiene: the filter, hooks, merge driver and checks that keep notebooks clean in git.

`codec`, `outline`, `strip`, `project` and `filter` are what git starts for every command:
they import the standard library, as little of it as will do, and one another.
"""
