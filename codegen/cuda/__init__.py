"""Kernels for NVIDIA GPUs: their texts, and the way from a text to PTX and machine code."""
