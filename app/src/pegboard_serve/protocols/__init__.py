"""The protocols that a client may speak: each reads rows, writes answers and says no in its own way."""
