"""A guest machine with real NFS: a user-mode Linux kernel that runs as a process of this machine, on its file tree.

    python guest.py probe            does a guest come up here? says why not, and ends with 1, if it does not
    python guest.py run COMMAND...   run a command in it, beside the mounts $NFS4_A $NFS4_B $NFS3_A $NFS3_B of $EXPORT

What the guest does is in guest.sh. It writes to this machine's files as root, so only trusted commands belong in it.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PACKAGES = {
    "linux.uml": "user-mode-linux",
    "rpc.nfsd": "nfs-kernel-server",
    "mount.nfs": "nfs-common",
    "rpcbind": "rpcbind",
    "modprobe": "kmod",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
}

_HERE = Path(__file__).parent
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MEMORY = 1 << 30

# With the classic registers only (see deny.py) what code holds in the others is lost when the guest changes threads. So
# libraries are told to leave those alone, and xxhash, which cannot be told, is stood in for.
_SMALL_REGISTERS = _HERE / "small_registers"
_NO_EXTENDED_REGISTERS = {
    "PYTHONPATH": str(_SMALL_REGISTERS),
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-AVX_Fast_Unaligned_Load,-BMI2,-RTM",
    "ARROW_USER_SIMD_LEVEL": "NONE",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
}


def find_obstacle() -> str | None:
    """Return why no guest can be started here, or None if nothing is known to be in the way."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "a guest with NFS needs Linux on x86-64"
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program, path=_PATH)})
    if missing:
        return f"a guest with NFS needs Debian's {' '.join(missing)}"
    if os.geteuid() != 0:
        return "a guest with NFS is started by root only"
    return None


# Waits until nobody holds its standard input any more, however those have ended, and then clears up.
_GUARD = 'read -r group && cat > /dev/null && kill -s KILL -- "-$group" 2> /dev/null; rm -rf "$1"'


class Guest:
    """A guest and the folder where it meets its starter; a context manager, after which nothing of either is left."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Guest:
        self.folder = Path(tempfile.mkdtemp(prefix="ddbuild-nfs-"))
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", self.folder], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.communicate()
        if self._process is not None:
            self._process.wait()

    def start(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        """Start the guest, in which `command` is run; one without a command only boots."""
        with (self.folder / "disk").open("wb") as disk:
            disk.truncate(2 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", disk.name], check=True, env={"PATH": _PATH})
        init = self.folder / "init"  # on the kernel's command line no name can hold a blank
        shutil.copyfile(_HERE / "guest.sh", init)
        init.chmod(0o755)
        has_amx = " amx_tile" in Path("/proc/cpuinfo").read_text()
        environment = (environment or {}) | (_NO_EXTENDED_REGISTERS if has_amx else {})
        script = [f"cd {shlex.quote(os.getcwd())}"]
        script += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
        script += [f"exec {shlex.join(command)}"]
        (self.folder / "command").write_text("\n".join(script) + "\n" if command else "")
        kernel = [
            *("linux.uml", f"ubd0={disk.name}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw"),
            *(f"mem={_MEMORY >> 20}M", f"init={init}", f"LAB={self.folder}", "quiet"),
            *("con=null", "con0=null,fd:1", f"umid={self.folder.name}", f"uml_dir={self.folder}/"),
        ]
        if has_amx:
            kernel = [sys.executable, str(_SMALL_REGISTERS / "deny.py"), *kernel]
            kernel.append(f"GLIBC_TUNABLES={_NO_EXTENDED_REGISTERS['GLIBC_TUNABLES']}")
        with (self.folder / "console").open("wb") as console:
            self._process = subprocess.Popen(
                kernel,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={"PATH": _PATH, "TMPDIR": self._choose_memory()},
                start_new_session=True,  # the guest's processes are its children here, and end with its group
            )
        print(self._process.pid, file=self._guard.stdin, flush=True)
        self._until = time.monotonic() + self._seconds

    @property
    def is_running(self) -> bool:
        """Whether it runs; one that has taken longer than allowed is ended."""
        if self._process is None or self._process.poll() is not None:
            return False
        if time.monotonic() < self._until:
            return True
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return False

    @property
    def has_booted(self) -> bool:
        """Whether the mounts were there and the command was started."""
        return (self.folder / "booted").exists()

    @property
    def status(self) -> int | None:
        """The exit status of the command, None if it has not come to an end."""
        try:
            return int((self.folder / "status").read_text())
        except FileNotFoundError:
            return None

    def wait(self) -> None:
        """Wait until the guest is off."""
        while self.is_running:
            time.sleep(0.05)

    def describe(self) -> str:
        """Return what it has said: on its console, while it booted, and by its command."""
        parts = []
        for name, title in (("console", "console"), ("boot", "boot"), ("output", "command")):
            path = self.folder / name
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            parts += [f"--- guest: {title}", *lines[-60:]]
        return "\n".join(parts)

    def _choose_memory(self) -> str:
        """Return the folder for the file that is the guest's memory."""
        for place in ("/dev/shm", "/tmp"):
            if os.path.isdir(place):
                status = os.statvfs(place)
                if status.f_bavail * status.f_frsize > _MEMORY and not status.f_flag & os.ST_NOEXEC:
                    return place
        return str(self.folder)


def main() -> int:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["probe"]:
            command, seconds = [], 30.0
        case ["run", *command] if command:
            seconds = 600.0
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    obstacle = find_obstacle()
    if obstacle is not None:
        print(obstacle, file=sys.stderr)
        return 1
    with Guest(seconds=seconds) as guest:
        guest.start(command)
        guest.wait()
        if not guest.has_booted or (command and guest.status is None):
            print(guest.describe(), file=sys.stderr)
            return 1
        if command:
            print((guest.folder / "output").read_text(), end="")
        return guest.status or 0


if __name__ == "__main__":
    sys.exit(main())
