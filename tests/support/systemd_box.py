"""A real systemd as process 1 of a box of namespaces: a view of this machine, thrown away at the end.

Needs root, systemd and a mounted cgroup2. Nothing on this machine is changed but a cgroup, which is removed.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.present import present

SYSTEMD = Path("/lib/systemd/systemd")
SOURCE = Path(__file__).parents[2] / "src"
#: Debian's, as `make install` takes it.
PYTHON = Path("/usr/bin/python3")
WAIT_S = 60

_VERSION = f"python3.{sys.version_info.minor}"

#: Runs in namespaces of its own: a folder for the box, the version of Python, libraries, and our code, which
#: come to lie below /opt, where the units can see them.
_BOOT = r"""
set -e
box=$1 version=$2 site=$3 code=$4
mount --make-rprivate /
mount -t tmpfs tmpfs "$box"
mkdir "$box/upper" "$box/work" "$box/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$box/upper,workdir=$box/work" "$box/root"
cd "$box/root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/mqueue dev/hugepages
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
ln -s null dev/console
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
# Nothing of the machine's own is started: only the log and what a test asks for.
rm -rf lib/systemd/system-generators lib/systemd/system/*.target.wants etc/systemd/system
rm -rf var/lib/linewitness var/lib/private var/log/journal etc/linewitness* opt/linewitness
mkdir -p etc/systemd/system run/systemd
: > etc/fstab
echo 0123456789abcdef0123456789abcdef > etc/machine-id
cat > etc/systemd/system/box.target <<END
[Unit]
DefaultDependencies=no
Requires=systemd-journald.service
After=systemd-journald.service
AllowIsolate=yes
END
mkdir -p opt/linewitness-site opt/linewitness-src
mount --bind "$site" opt/linewitness-site
mount --bind "$code" opt/linewitness-src
mkdir -p opt/linewitness/bin "opt/linewitness/lib/$version/site-packages"
ln -s "/usr/bin/$version" opt/linewitness/bin/python3
printf 'home = /usr/bin\n' > opt/linewitness/pyvenv.cfg
printf '/opt/linewitness-src\n/opt/linewitness-site\n' > "opt/linewitness/lib/$version/site-packages/box.pth"
program=opt/linewitness/bin/linewitness
printf '#!/opt/linewitness/bin/python3\nfrom linewitness.cli import main\nmain()\n' > $program
chmod 755 $program
mkdir oldroot
pivot_root . oldroot
cd /
umount -l /oldroot
mount --make-rshared /
exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --unit=box.target --log-target=journal --show-status=no < /dev/null
"""


def why_not() -> str | None:
    """Say why there can be no box here, or None."""
    missing = [name for name in ("unshare", "nsenter", "systemctl") if shutil.which(name) is None]
    if os.geteuid() != 0:
        return "it needs root"
    if missing or not SYSTEMD.exists():
        return f"it needs {', '.join(missing) or SYSTEMD}"
    if not PYTHON.with_name(_VERSION).exists():
        return f"it needs Debian's {_VERSION}"
    if _cgroup2() is None:
        return "no cgroup2 is mounted"
    return None


def _cgroup2() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        words = line.split()
        if words[2] == "cgroup2" and "rw" in words[3].split(","):
            return Path(words[1])
    return None


@dataclass(frozen=True)
class Said:
    """How a command in the box ended, and what it wrote."""

    code: int
    out: str


@dataclass(frozen=True)
class Box:
    """A machine that runs systemd."""

    pid: int

    def run(self, *command: object, given: str | None = None) -> Said:
        """Run a command in the box, as root."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-C", "-r", "-w", "env", "-i",
             "PATH=/opt/linewitness/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE=1",
             *map(str, command)],
            input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=WAIT_S,
            check=False,
        )  # fmt: skip
        return Said(done.returncode, done.stdout)

    def must(self, *command: object, given: str | None = None) -> str:
        """Run a command that has to work, and return what it wrote."""
        said = self.run(*command, given=given)
        assert said.code == 0, f"{' '.join(map(str, command))}: {said.code}\n{said.out}"
        return said.out

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Write a file in the box."""
        self.must("install", "-D", "-m", mode, "/dev/stdin", path, given=text)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Return properties of a unit, as systemd knows them."""
        text = self.must("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.partition("=")[::2] for line in text.splitlines())

    def log(self, unit: str) -> str:
        """Return what a unit and systemd itself wrote about it."""
        return self.must("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def wait_until(self, condition: Callable[[], object], what: str, unit: str) -> None:
        """Wait until a condition holds."""
        for _ in range(WAIT_S * 10):
            if condition():
                return
            time.sleep(0.1)
        raise AssertionError(f"waited for {what};\n{self.log(unit)}")

    def until_shown(self, unit: str, **wanted: str) -> None:
        """Wait until systemd shows these properties of a unit."""
        self.wait_until(lambda: self.show(unit, *wanted) == wanted, f"{wanted}", unit)


@contextmanager
def box(folder: Path) -> Iterator["Box"]:
    """Boot a box, and take it away again."""
    group = present(_cgroup2()) / f"box-{os.getpid()}"
    group.mkdir()
    place = folder / "box"
    place.mkdir()
    inside = (
        f"echo $$ > {group}/cgroup.procs; exec unshare --pid --fork --mount --uts --ipc --cgroup --kill-child"
    )
    with (folder / "boot.log").open("wb") as log:
        outer = subprocess.Popen(
            ["sh", "-c", f'{inside} sh -c "$0" boot "$@"', _BOOT,
             str(place), _VERSION, sysconfig.get_path("purelib"), str(SOURCE)],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield _booted(outer, folder / "boot.log")
    finally:
        outer.kill()  # process 1 of the box dies with it, and everything inside
        outer.wait()
        _remove(group)


def _booted(outer: subprocess.Popen[bytes], log: Path) -> Box:
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    for _ in range(WAIT_S * 10):
        if outer.poll() is not None:
            break
        pids = children.read_text().split()
        if pids and Path(f"/proc/{pids[0]}/exe").resolve() == SYSTEMD.resolve():
            found = Box(int(pids[0]))
            if found.run("systemctl", "is-active", "box.target").out.strip() == "active":
                return found
        time.sleep(0.1)
    raise AssertionError(f"systemd did not start in the box: {log.read_text()}")


def _remove(group: Path) -> None:
    """Remove the cgroup and those below, as soon as their last processes have ended."""
    for _ in range(WAIT_S * 10):
        with suppress(OSError):
            for inner in sorted(group.rglob("*/"), reverse=True):
                if inner.is_dir():
                    inner.rmdir()
            group.rmdir()
            return
        time.sleep(0.1)
    raise AssertionError(f"{group} cannot be removed")
