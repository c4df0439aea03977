"""What goes wrong while a program becomes machine code."""


class CompileError(Exception):
    """A program or a kernel cannot be compiled; the text says which and why."""
