"""The CPU target: kernel source, contraction, driver."""
