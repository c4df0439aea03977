"""What the interpreter finds wrong with a kernel. Each kind of fault is a class."""

from __future__ import annotations


class PtxError(RuntimeError):
    """A fault of a kernel; the text names the kernel, the line of its PTX, the block and thread."""


class Unsupported(PtxError):
    """PTX that the interpreter does not know. Never skipped: a test that meets it fails."""


class OutOfBounds(PtxError):
    """An access outside of every allocation, of the block's shared memory or the local memory."""


class UseAfterFree(PtxError):
    """An access to device memory that was freed."""


class Misaligned(PtxError):
    """An address that is no multiple of the size of the access."""


class Uninitialised(PtxError):
    """A read of memory that nobody wrote."""


class BarrierDivergence(PtxError):
    """Threads of one warp at different barriers, or some of them gone."""


class Deadlock(PtxError):
    """Threads wait for others that never come."""


class WarpDivergence(PtxError):
    """A warp-wide instruction without all the lanes that it names, or a read from an absent one."""


class Race(PtxError):
    """Two accesses, one of them a write, that nothing puts in order."""


class InFlight(PtxError):
    """An access to shared memory that an asynchronous copy has not surely filled yet."""


class Trap(PtxError):
    """The kernel executed `trap`."""


class TooLong(PtxError):
    """More instructions than were allowed: probably a loop without end."""


class LaunchFault(PtxError):
    """A launch that a device would refuse: parameters, threads, shared memory, residency."""
