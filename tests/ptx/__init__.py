"""An interpreter of PTX in NumPy: what runs the emitted kernels where there is no GPU."""
