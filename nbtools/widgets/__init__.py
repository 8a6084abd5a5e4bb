"""Views that a notebook shows: a verb of the library and one JavaScript file each.

A view tells its page what there is (`told`, `curves`), and answers what the page asks. The
page is not trusted: it changes nothing here but by questions that are checked.
"""
