"""Adaptive relevance realization for the compression of visual tokens, small enough to read.

`data` makes scenes and questions, `allocation` shares out a budget of tokens, `scorers` say
where they matter, `model` puts it together, `training` trains and tests.
"""
