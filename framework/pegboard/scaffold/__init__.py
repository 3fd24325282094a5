"""``pegboard new``: the beginnings of a plugin, rendered from templates. Only the command line uses it."""
