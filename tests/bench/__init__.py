"""How fast symnet trains beside its peers: `python -m tests.bench`."""
