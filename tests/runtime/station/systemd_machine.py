"""A machine that is started by the real systemd: this one's files, seen through an overlay, in namespaces of its own.

Nothing that is written there is on this machine afterwards, and nothing of this machine but its processors, its network
and its files (read only, below the overlay) is there. It takes root.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SYSTEMD = Path("/lib/systemd/systemd")

# $1: an empty folder. Two stages, since a cgroup namespace begins where its first process is.
_OUTSIDE = """
set -e
mount --make-rprivate /
mkdir "$1/groups" "$1/layers" "$1/root"
mount -t cgroup2 none "$1/groups"
mkdir "$1/groups/$2"
echo $$ > "$1/groups/$2/cgroup.procs"
umount "$1/groups"
mount -t tmpfs none "$1/layers"
mkdir "$1/layers/upper" "$1/layers/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/layers/upper,workdir=$1/layers/work" "$1/root"
exec unshare --mount --pid --ipc --uts --cgroup --fork --kill-child bash -c "$3" machine "$1"
"""
# Only the journal is started: no service, mount or generator of this machine. Kernel settings are read only.
_INSIDE = """
set -e
cd "$1/root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 none sys/fs/cgroup || { mount -t tmpfs none sys/fs/cgroup; mount -t cgroup2 none sys/fs/cgroup; }
mount -t tmpfs none run
mount -t tmpfs none dev
mkdir dev/shm
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
: > etc/fstab
for place in etc/systemd lib/systemd usr/lib/systemd; do rm -rf $place/system-generators $place/system/*.wants; done
mkdir -p etc/systemd/system/sysinit.target.wants
ln -s /lib/systemd/system/systemd-journald.service etc/systemd/system/sysinit.target.wants/
exec chroot . env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system \\
  --unit=basic.target --log-target=console --show-status=no
"""


def systemd_is_missing() -> str:
    """Return why there can be no such machine here, or an empty text."""
    if os.geteuid() != 0:
        return "a machine of its own for systemd takes root"
    if not SYSTEMD.is_file() or not all(map(shutil.which, ("unshare", "nsenter", "useradd", "systemctl"))):
        return "systemd is not installed"
    if any(
        place.stat().st_dev != Path("/").stat().st_dev for place in (ROOT, *map(Path, (sys.prefix, sys.base_prefix)))
    ):
        return "the overlay shows the root file system only, and this checkout or its Python is on another"
    return ""


class SystemdMachine:
    """systemd, running.

    Attributes:
        root: its files; what is written here is there.
    """

    def __init__(self, folder: Path) -> None:
        """Start it; it is not up yet.

        Args:
            folder: an empty one.
        """
        self.log = folder / "log.txt"
        self._group = f"ganspect-{os.getpid()}"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "bash", "-c", _OUTSIDE, "machine", str(folder), self._group, _INSIDE],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._folder = folder
        self.root = folder

    def wait_until_up(self, within_s: float = 30) -> bool:
        """Return whether it is up in time."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s and self._process.poll() is None:
            if first := self._first():
                self.root = Path(f"/proc/{first}/root")
                if self.run("systemctl", "is-active", "basic.target").stdout.strip() == "active":
                    return True
            time.sleep(0.1)
        return False

    def run(self, *command: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command there."""
        first = str(self._first())
        entering = ["nsenter", "--target", first, "--mount", "--pid", "--ipc", "--uts", f"--root={self.root}", "--wd=/"]
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.run(
            [*entering, "env", path, *command], capture_output=True, text=True, check=False, timeout=timeout_s
        )

    def shown(self, unit: str, key: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", key, unit).stdout.strip()

    def close(self) -> None:
        """End it, with all that runs there."""
        self._process.kill()
        self._process.wait()
        _remove_groups(self._folder, self._group)

    def _first(self) -> int | None:
        """Return the number, out here, of what has number 1 there."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            number = int(children.read_text().split()[0])
            # Before systemd takes its place, it is the shell that prepares the machine.
            return number if Path(f"/proc/{number}/comm").read_text().strip() == "systemd" else None
        except (OSError, IndexError):
            return None


_REMOVE = """
mount -t cgroup2 none "$1" && find "$1/$2" -depth -type d -exec rmdir {} +
"""


def _remove_groups(folder: Path, group: str) -> None:
    """Remove the cgroups that the machine has left; they are empty."""
    place = folder / "groups"
    for _ in range(20):  # killed processes take a moment to be gone
        ended = subprocess.run(
            ["unshare", "--mount", "bash", "-c", _REMOVE, "remove", str(place), group], capture_output=True, check=False
        )
        if ended.returncode == 0:
            return
        time.sleep(0.1)
