"""Read how much memory a process has taken at most."""

from pathlib import Path


def peak_mib(pid: int | str = "self") -> float:
    """Return the most that a process has had resident so far, in MiB.

    What `getrusage` returns begins with the memory of the process that started this one.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
