"""What a process that decodes hostile files may still do.

Three levels. *strict* takes away the network, other processes, and every file but the program's own
and the uploads: Landlock for files (Linux 5.13), a seccomp filter for system calls. *process*
bounds memory, processor time and files, and keeps the parent's environment away. *off* does none of
this; the process alone stands between a decoder and the rest.

The filter names what is refused, and lets everything else pass: a list of what is allowed would
have to follow every version of every decoder. What it cannot refuse is bounded by Landlock and by
the limits on resources.

Not covered: that a file exists, with its size and dates, can be seen; a process examines many files
one after another, so one that was taken over sees those that come after.
"""

from __future__ import annotations

import ctypes
import errno
import os
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bonafide.errors import InvalidInput

GIB = 1024**3


class Level(StrEnum):
    """How much is taken away."""

    STRICT = "strict"
    PROCESS = "process"
    OFF = "off"


@dataclass(frozen=True)
class Sandbox:
    """What the processes of one pool may do.

    Attributes:
        level: how much is taken away.
        readable: files and folders that strict processes may read, beside those of the program.
        memory: address space of one process, bytes; libraries reserve more than they use.
        written: largest file that it may write, bytes.
        files: that it may have open at once.
        seconds: processor time for one task, of all threads together.
    """

    level: Level
    readable: tuple[str, ...] = ()
    memory: int = 8 * GIB
    written: int = 2 * GIB
    files: int = 512
    seconds: float = 3600.0


# Variables that a decoding process gets; all others may be secrets.
_KEPT = (
    "BONAFIDE_CALIBRATION", "BONAFIDE_CAMERAS", "BONAFIDE_DEVICE", "BONAFIDE_THREADS",
    "BONAFIDE_TRUST", "BONAFIDE_WEIGHTS",
    "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOCALAPPDATA", "PATH", "SYSTEMROOT",
    "TEMP", "TMP", "TMPDIR", "TZ", "USERPROFILE", "VIRTUAL_ENV",
)  # fmt: skip
_KEPT_PREFIXES = ("LC_", "MKL_", "NUMPY_", "OMP_", "OPENBLAS_", "OPENCV_", "PYTHON", "XDG_")

# Beside the program: what the C library and the numeric libraries look at.
_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime",
    "/etc/mime.types",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm",
    "/sys/devices/system", "/sys/bus/pci/devices",
    "/sys/fs/cgroup", "/dev/random", "/dev/urandom", "/dev/zero",
)  # fmt: skip

_REFUSED = (
    # the network, and other ways to reach other processes
    "socket", "io_uring_setup", "io_uring_enter", "io_uring_register", "mq_open", "msgget",
    "semget", "shmget", "shmat",
    # other processes and programs
    "fork", "vfork", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo", "tkill", "kcmp", "setpgid", "setsid", "setpriority",
    # the system
    "acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime",
    "delete_module", "fanotify_init", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick",
    "init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load", "keyctl", "mount",
    "mount_setattr", "move_mount", "name_to_handle_at", "open_by_handle_at", "open_tree",
    "perf_event_open", "pivot_root", "quotactl", "reboot", "request_key", "setdomainname",
    "sethostname", "setns", "settimeofday", "setrlimit", "swapoff", "swapon", "syslog", "umount2",
    "unshare", "userfaultfd", "vhangup",
    # what Landlock lets pass: owners, modes and attributes of files
    "chmod", "chown", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "fremovexattr",
    "fsetxattr", "lchown", "lremovexattr", "lsetxattr", "mknod", "mknodat", "removexattr",
    "setxattr", "setxattrat", "removexattrat",
)  # fmt: skip
_CLONE_THREAD = 0x00010000


def missing() -> list[str]:
    """What strict needs and this system does not have, one phrase each."""
    if not sys.platform.startswith("linux"):
        return ["Linux"]
    found = []
    if find_spec("landlock") is None or find_spec("pyseccomp") is None:
        found.append("the packages landlock and pyseccomp (pip install 'bonafide[server]')")
    else:
        if _landlock_version() < 1:
            found.append("Landlock in the kernel (5.13, switched on)")
        try:
            import pyseccomp  # noqa: F401
        except (ImportError, OSError, RuntimeError):
            found.append("the library libseccomp")
    if os.environ.get("BONAFIDE_DEVICE", "cpu") != "cpu":
        found.append("BONAFIDE_DEVICE=cpu (the files of a graphics card are kept away)")
    return found


def chosen(level: Level | None) -> Level:
    """The level that is meant; the best that this system has for None.

    Raises:
        InvalidInput: it was asked for by name and is not to be had.
    """
    lacking = missing()
    if level is None:
        return Level.PROCESS if lacking else Level.STRICT
    if level is Level.STRICT and lacking:
        raise InvalidInput(f"--sandbox strict needs {' and '.join(lacking)}")
    return level


def description(sandbox: Sandbox) -> str:
    """What is in force, in one sentence."""
    limits = f"{sandbox.memory / GIB:g} GiB of memory, {sandbox.files} open files"
    if sandbox.level is Level.STRICT:
        return (
            "sandbox strict: files are decoded without network, without other processes, with "
            f"the program and the uploads as the only files to read, {limits}"
        )
    if sandbox.level is Level.PROCESS:
        lacking = ", ".join(missing())
        why = f"; strict needs {lacking}" if lacking else ""
        return (
            f"sandbox process: files are decoded in processes of their own, {limits}; network and "
            f"files are not kept from them{why}"
        )
    return "sandbox off: files are decoded in processes of their own, without bounds"


def refuse_exposed(sandbox: Sandbox, secrets: Iterable[Path]) -> None:
    """Refuse a sandbox that may read what must be kept from it.

    Raises:
        InvalidInput: one of `secrets` lies below a folder that strict processes read.
    """
    if sandbox.level is not Level.STRICT:
        return
    readable = [Path(path).resolve() for path in (*_program(), *_SYSTEM, *sandbox.readable)]
    for secret in secrets:
        resolved = secret.resolve()
        for place in readable:
            if place == resolved or place in resolved.parents:
                raise InvalidInput(
                    f"--sandbox strict cannot keep {secret} from decoders, which read {place}: "
                    "move it"
                )


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a decoding process may have."""
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }


def enter(sandbox: Sandbox, scratch: str, pipes: Iterable[int]) -> None:
    """Give up, in this process and for good, what `sandbox` takes away.

    Called before the process starts a thread or sees a task.

    Args:
        sandbox: what to take away.
        scratch: folder for temporary files, the only one that can be written to.
        pipes: descriptors that stay open beside the standard ones.
    """
    if sandbox.level is Level.OFF:
        return
    tempfile.tempdir = scratch
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch))
    os.umask(0o077)
    _limit(sandbox)
    if sys.platform.startswith("linux"):
        _close_all_but({0, 1, 2, *pipes})
    if sandbox.level is Level.STRICT:
        _restrict_files([*_program(), *_SYSTEM, *sandbox.readable, f"/proc/{os.getpid()}"], scratch)
        _restrict_calls()


def begin_task(sandbox: Sandbox) -> None:
    """Allow this process the time of one more task."""
    if sandbox.level is Level.OFF or sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + sandbox.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def _limit(sandbox: Sandbox) -> None:
    if sys.platform == "win32":
        return
    import resource

    bounds = {"RLIMIT_FSIZE": sandbox.written, "RLIMIT_NOFILE": sandbox.files, "RLIMIT_CORE": 0}
    if sys.platform.startswith("linux"):  # elsewhere it is not kept, or set below what is reserved
        bounds["RLIMIT_AS"] = sandbox.memory
    for name, most in bounds.items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(number, (most, most))


def _close_all_but(kept: set[int]) -> None:
    """Close what was inherited: pipes to the fork server and to the tracker of resources."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one by which the folder was listed


def _program() -> list[str]:
    """Folders of Python, of installed packages, and of detectors that plugins bring."""
    from bonafide.files import user_data
    from bonafide.trust.user import folder

    package = Path(__file__).parents[1]
    places = [package, Path(sys.base_prefix) / "lib", Path(sys.prefix) / "lib"]
    places += map(user_data, ("weights", "cameras", "calibrations"))
    places += [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib")]
    places += map(Path, [*site.getsitepackages(), site.getusersitepackages()])
    places += [Path(sys.prefix) / "pyvenv.cfg", folder()]
    places += _plugins()
    places += [
        Path(value) for name in ("WEIGHTS", "CALIBRATION", "CAMERAS") if (value := _named(name))
    ]
    return [str(place) for place in places]


def _named(name: str) -> str | None:
    return os.environ.get(f"BONAFIDE_{name}")


def _plugins() -> list[Path]:
    from importlib.metadata import entry_points

    found = []
    for point in entry_points(group="bonafide.detectors"):
        if point.dist is not None:
            found.append(Path(str(point.dist.locate_file(""))))  # where it says what it brings
        try:
            spec = find_spec(point.module)
        except (ImportError, ValueError):
            continue
        if spec and spec.origin:
            found.append(Path(spec.origin).parent if "." in point.module else Path(spec.origin))
        found += map(Path, spec.submodule_search_locations or () if spec else ())
    return found


def _landlock_version() -> int:
    from landlock import LandlockError, landlock_abi_version

    ctypes.set_errno(0)  # the library takes an old error for one of its own
    try:
        return int(landlock_abi_version())
    except LandlockError:
        return 0


def _restrict_files(readable: list[str], scratch: str) -> None:
    from landlock import FSAccess, Ruleset

    ctypes.set_errno(0)
    rules = Ruleset()
    file = FSAccess.READ_FILE | FSAccess.EXECUTE
    for place in dict.fromkeys(readable):
        if os.path.isdir(place):  # noqa: PTH112
            rules.allow(place, rules=file | FSAccess.READ_DIR)
        elif os.path.exists(place):  # noqa: PTH110
            rules.allow(place, rules=file)
    rules.allow("/dev/null", rules=FSAccess.READ_FILE | FSAccess.WRITE_FILE)
    written = FSAccess.all() & ~(
        FSAccess.EXECUTE
        | FSAccess.MAKE_CHAR
        | FSAccess.MAKE_BLOCK
        | FSAccess.MAKE_SOCK
        | FSAccess.MAKE_FIFO
        | FSAccess.IOCTL_DEV
    )
    rules.allow(scratch, rules=written)
    rules.apply()


def _restrict_calls() -> None:
    import pyseccomp as seccomp

    refused, unknown = seccomp.ERRNO(errno.EPERM), seccomp.ERRNO(errno.ENOSYS)
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    own = os.getpid()

    def refuse(name: str, *arguments: Any, answer: int = refused) -> None:
        try:
            rules.add_rule(answer, name, *arguments)
        except (OSError, ValueError):
            pass  # a call that this processor, or this version of the library, does not have

    for name in _REFUSED:
        refuse(name)
    # Threads are needed. `clone3` hides its flags from a filter; without it libraries use `clone`.
    refuse("clone", seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_THREAD, 0))
    refuse("clone3", answer=unknown)
    for name in ("kill", "tgkill"):
        refuse(name, seccomp.Arg(0, seccomp.NE, own))
    # Limits can be read; that of processor time can be moved, which `begin_task` does.
    refuse("prlimit64", seccomp.Arg(0, seccomp.NE, 0), seccomp.Arg(2, seccomp.NE, 0))
    refuse("prlimit64", seccomp.Arg(1, seccomp.NE, 0), seccomp.Arg(2, seccomp.NE, 0))
    rules.load()
