"""Tests of the CUDA target that need no device: what is emitted is looked at and interpreted."""
