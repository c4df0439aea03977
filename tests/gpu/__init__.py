"""What needs a GPU: tests marked `gpu`, and the benchmark; `python tests/gpu/run_all.py`."""
