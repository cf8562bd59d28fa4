"""Room for open files, made while the process has one thread.

Linux grows a process's table of descriptors when the 65th, 129th, 257th … is opened. With a second
thread there it waits for a grace period of the whole machine first (`expand_fdtable` in the kernel's
fs/file.c): 10 to 30 ms that would lie inside a call.
"""

import os
from contextlib import suppress

try:
    import fcntl
    import resource
except ImportError:  # Windows has neither such a table nor such a limit
    fcntl = resource = None

# Descriptors that the process needs besides those of its agents: the event loop's, the first
# request's, files.
OWN = 48
# For each agent a connection, and the last one until the event loop has closed it.
PER_AGENT = 2


def make_room(agents: int) -> None:
    """Makes room for the connections of so many agents, as far as the limit on open files can be
    raised. To be called before the process starts a second thread, and in every process: one that is
    forked begins with a small table."""
    if fcntl is None or resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Where it cannot be raised, what there is has to do.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    root = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The lowest free number: as many are open already.
        wanted = root + PER_AGENT * agents + OWN
        highest = (1 << (wanted - 1).bit_length()) - 1
        if soft != resource.RLIM_INFINITY:
            highest = min(highest, soft - 1)
        # The copy is closed at once; the room stays.
        with suppress(OSError):
            os.close(fcntl.fcntl(root, fcntl.F_DUPFD_CLOEXEC, highest))
    finally:
        os.close(root)
