"""A compiler for loop programs: buffers, loops, scalars and contractions become kernels."""
