"""What the kernel is asked to forbid a process that runs a model's program: namespaces, Landlock, seccomp.

    enter_namespaces("/box/tmp", proc)      # own users, processes, mounts, network; private empty /box/tmp
    limit(cpu_s=10, memory_mib=1024)
    restrict_files(ruleset)                 # a Landlock domain of its own
    restrict_calls(processes=False)         # no network, no other process, nothing that reaches out

All of it through ctypes, between fork and the program's first line, in a process that has one thread.
Each raises ``OSError`` where the kernel does not do it.
"""

import contextlib
import ctypes
import functools
import os
import platform
import resource
import struct
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)

NOBODY = 65534
ARM = platform.machine() in ("aarch64", "arm64")
KNOWN = platform.machine() in ("x86_64", "aarch64", "arm64")

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000  # linux/sched.h
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CLONE_NEWCGROUP, CLONE_NEWTIME, CLONE_THREAD = 0x2000000, 0x80, 0x10000
NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
ANY_NAMESPACE = NAMESPACES | CLONE_NEWCGROUP | CLONE_NEWTIME

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 1, 2, 4, 0x4000, 0x40000  # linux/mount.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 4, 24, 36
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int = 0) -> None:
    """One number to the kernel."""
    _checked("prctl", _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def syscall(name: str, number: int, *arguments: object) -> int:
    """A call that the C library has no function for."""
    return _checked(name, int(_libc.syscall(ctypes.c_long(number), *arguments)))


# ── namespaces ───────────────────────────────────────────────────────────────────────────────────


def become_nobody() -> None:
    """Root no longer, for good: limits on processes hold for everybody but root."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    prctl(PR_SET_DUMPABLE, 1)  # else /proc/self belongs to root, and uid_map cannot be written


def count_as_nobody() -> None:
    """Root whose processes are counted as nobody's: it still reads what only root may. In a namespace of
    users that knows no nobody, it stays what it is."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setresuid(NOBODY, 0, 0)
        prctl(PR_SET_DUMPABLE, 1)


def enter_namespaces(tmp: str, proc: int, tmp_mib: int, read_only: bool) -> None:
    """Leave the machine's users, mounts, network, names, message queues and (for children) processes.

    ``proc`` is an open /proc; ``tmp`` becomes an empty file system of ``tmp_mib``. ``read_only``: nobody
    has made the rest read-only yet.
    """
    uid, gid = os.geteuid(), os.getegid()
    _checked("unshare", _libc.unshare(NAMESPACES))
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        descriptor = os.open(f"self/{file}", os.O_WRONLY, dir_fd=proc)
        os.write(descriptor, text.encode())
        os.close(descriptor)
    _mount(None, "/", None, MS_REC | MS_PRIVATE, None)
    _mount("tmpfs", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k")
    if read_only:
        _make_read_only()
    _mount("tmpfs", tmp, "tmpfs", MS_NOSUID | MS_NODEV, f"size={tmp_mib}m,nr_inodes=4096,mode=700")


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None) -> None:
    as_bytes = [text.encode() if text else None for text in (source, target, kind, data)]
    result = _libc.mount(*as_bytes[:3], ctypes.c_ulong(flags), as_bytes[3])
    _checked(f"mount {target}", result)


def _make_read_only() -> None:
    """Every mount, by mount_setattr (Linux 5.12), so that not even a file's mode can be changed."""
    attributes = struct.pack("4Q", 1, 0, 0, 0)  # MOUNT_ATTR_RDONLY
    at_fdcwd, at_recursive = -100, 0x8000
    syscall("mount_setattr", 442, at_fdcwd, b"/", at_recursive, attributes, ctypes.c_size_t(32))


def drop_capabilities() -> None:
    """None now, none by starting a program."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            break  # beyond the last one, or not allowed to: then nothing is left to drop
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)  # _LINUX_CAPABILITY_VERSION_3
    syscall("capset", 91 if ARM else 126, header, none)


def limit(
    *, cpu_s: int, memory_mib: int, file_mib: int, processes: int | None, programs: bool
) -> None:
    """Limits on one process (``programs``: and on those it starts); address space only of our own Python,
    since other languages' runtimes reserve far more than they use."""
    memory = memory_mib << 20
    for kind, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_DATA if programs else resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_mib << 20),
        (resource.RLIMIT_NOFILE, 1024 if programs else 128),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NPROC, processes),
    ):
        if most is not None:
            hard = resource.getrlimit(kind)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))


# ── Landlock ─────────────────────────────────────────────────────────────────────────────────────

# linux/landlock.h: execute, read a file, read a folder; all rights on files known to each version.
_EXECUTE, _WRITE, _READ, _READ_DIR, _TRUNCATE, _CONTROL = (
    1,
    1 << 1,
    1 << 2,
    1 << 3,
    1 << 14,
    1 << 15,
)
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_ON_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _CONTROL
_CREATE, _ADD, _RESTRICT = 444, 445, 446


def landlock_version() -> int:
    """0: this kernel has none (or has it switched off)."""
    try:
        return syscall("landlock_create_ruleset", _CREATE, None, ctypes.c_size_t(0), 1)
    except OSError:
        return 0


def make_ruleset(readable: list[str], writable: list[str]) -> int:
    """A descriptor of what may be touched: all else on disk may not, nor TCP, nor signals to the outside."""
    version = landlock_version()
    rights = (1 << _RIGHTS[min(version, 5)]) - 1
    attributes = struct.pack("Q", rights)
    attributes += struct.pack("Q", 3) if version >= 4 else b""  # bind and connect
    attributes += struct.pack("Q", 3) if version >= 6 else b""  # abstract sockets and signals
    size = ctypes.c_size_t(len(attributes))
    ruleset = syscall("landlock_create_ruleset", _CREATE, attributes, size, 0)
    for paths, allowed in ((readable, _EXECUTE | _READ | _READ_DIR), (writable, rights)):
        for path in paths:
            _allow(ruleset, path, allowed & rights)
    for device in ("null", "zero", "full", "random", "urandom"):
        _allow(ruleset, f"/dev/{device}", (_READ | _WRITE) & rights)
    return ruleset


def _allow(ruleset: int, path: str, allowed: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not on this machine
        return
    if not os.path.isdir(path):
        allowed &= _ON_FILES
    rule = struct.pack("=Qi", allowed, place)
    syscall("landlock_add_rule", _ADD, ruleset, 1, rule, 0)
    os.close(place)


def restrict_files(ruleset: int) -> None:
    """Only what the ruleset allows, from here on."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall("landlock_restrict_self", _RESTRICT, ruleset, 0)


# ── seccomp ──────────────────────────────────────────────────────────────────────────────────────


class Call(NamedTuple):
    """A system call's number on x86-64 and on 64-bit ARM; None: it has none there."""

    x86: int | None
    arm: int | None

    @property
    def number(self) -> int | None:
        return self.arm if ARM else self.x86


# linux/asm/unistd_64.h and asm-generic/unistd.h.
_REACHING_OUT = [
    *(
        Call(41, 198),
        Call(42, 203),
        Call(49, 200),
        Call(50, 201),
        Call(43, 202),
        Call(288, 242),
    ),  # sockets
    *(Call(101, 117), Call(310, 270), Call(311, 271), Call(312, 272)),  # ptrace, process_vm_*, kcmp
    *(
        Call(434, 434),
        Call(438, 438),
        Call(424, 424),
        Call(440, 440),
        Call(448, 448),
    ),  # pidfd_*, process_*
    *(Call(200, 130), Call(129, 138), Call(297, 240)),  # tkill, rt_sigqueueinfo, rt_tgsigqueueinfo
    *(Call(141, 140), Call(142, 118), Call(144, 119), Call(314, 274), Call(251, 30)),  # priorities
]
_SYSTEM = [
    *(
        Call(165, 40),
        Call(166, 39),
        Call(155, 41),
        Call(161, 51),
    ),  # mount, umount2, pivot_root, chroot
    *(
        Call(n, n) for n in (428, 429, 430, 431, 432, 433, 442, 457, 458, 467)
    ),  # open_tree to open_tree_attr
    *(Call(308, 268), Call(272, 97)),  # setns, unshare
    *(Call(n, n) for n in (425, 426, 427)),  # io_uring_*
    *(Call(250, 219), Call(248, 217), Call(249, 218)),  # keyctl, add_key, request_key
    *(Call(321, 280), Call(298, 241), Call(323, 282)),  # bpf, perf_event_open, userfaultfd
    *(Call(175, 105), Call(313, 273), Call(176, 106)),  # kernel modules
    *(
        Call(246, 104),
        Call(320, 294),
        Call(169, 142),
        Call(167, 224),
        Call(168, 225),
    ),  # kexec, reboot, swap
    *(Call(163, 89), Call(103, 116), Call(179, 60), Call(443, 443)),  # acct, syslog, quotactl
    *(Call(164, 170), Call(227, 112), Call(305, 266), Call(159, 171)),  # clocks
    *(Call(170, 161), Call(171, 162), Call(153, 58)),  # host names, vhangup
    *(Call(303, 264), Call(304, 265), Call(300, 262), Call(301, 263)),  # handles, fanotify
    *(Call(256, 238), Call(279, 239), Call(237, 235), Call(238, 237)),  # memory policy
    *(
        Call(172, None),
        Call(173, None),
        Call(154, None),
        Call(134, None),
        Call(135, 92),
    ),  # ports, personality
    *(
        Call(29, 194),
        Call(30, 196),
        Call(31, 195),
        Call(64, 190),
        Call(65, 193),
        Call(66, 191),
    ),  # shm, sem
    *(Call(68, 186), Call(69, 189), Call(70, 188), Call(71, 187), Call(240, 180)),  # msg, mq_open
]
# What only programs of other languages need: to start one, and to change modes (linkers do).
_PROCESSES = [
    *(Call(57, None), Call(58, None), Call(59, 221), Call(322, 281)),  # fork, vfork, exec*
    *(Call(319, 279), Call(447, 447)),  # memfd_*: memory that no limit counts
]
_MODES = [
    *(Call(90, None), Call(91, 52), Call(268, 53), Call(452, 452)),  # chmod
    *(Call(92, None), Call(93, 55), Call(94, None), Call(260, 54)),  # chown
    *(Call(188, 5), Call(189, 6), Call(190, 7), Call(463, 463)),  # setxattr
    *(Call(197, 14), Call(198, 15), Call(199, 16), Call(466, 466), Call(469, 469)),  # removexattr
    *(Call(132, None), Call(235, None), Call(261, None), Call(280, 88)),  # utime
]
_PRCTL = Call(157, 167)
_CLONE, _CLONE3, _KILL, _TGKILL = Call(56, 220), Call(435, 435), Call(62, 129), Call(234, 131)
_PRLIMIT, _SOCKETPAIR, _IOCTL, _AFFINITY = (
    Call(302, 261),
    Call(53, 199),
    Call(16, 29),
    Call(203, 122),
)
_ARCH = 0xC00000B7 if ARM else 0xC000003E  # AUDIT_ARCH_*

_LOAD, _JUMP_IF, _JUMP_FROM, _JUMP_BITS, _RETURN = (
    0x20,
    0x15,
    0x35,
    0x45,
    0x06,
)  # linux/bpf_common.h
_ALLOW, _KILL_ALL, _REFUSE, _UNKNOWN = (
    0x7FFF0000,
    0x80000000,
    0x50000 | 1,
    0x50000 | 38,
)  # EPERM, ENOSYS
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data


def restrict_calls(*, processes: bool) -> None:
    """System calls that reach beyond the process fail with "not permitted". ``processes``: it may start
    others, and signal them (that is for a namespace of processes only)."""
    text = call_filter(processes, os.getpid())
    held = ctypes.create_string_buffer(text, len(text))
    descriptor = struct.pack("HxxxxxxP", len(text) // 8, ctypes.addressof(held))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    result = _libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), descriptor, 0, 0)
    _checked("seccomp", result)


Line = tuple[int, int, int, int]
Test = tuple[
    int, int, bool
]  # an operation on an argument's low word, with what, and which outcome will do


@functools.cache  # 0.7 ms: the warden asks for those that it will need
def call_filter(processes: bool, own: int) -> bytes:
    """The program for the kernel; ``own`` is the process that may signal and limit itself."""
    return b"".join(struct.pack("HBBI", *line) for line in _filter(processes, own))


def _filter(processes: bool, own: int) -> list[Line]:
    if not KNOWN:
        raise OSError(f"no table of system calls for {platform.machine()}")
    program: list[Line] = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_JUMP_IF, 1, 0, _ARCH), (_RETURN, 0, 0, _KILL_ALL),
        (_LOAD, 0, 0, _NUMBER), (_JUMP_FROM, 0, 1, 0x40000000), (_RETURN, 0, 0, _REFUSE),
    ]  # fmt: skip
    for call in [*_REACHING_OUT, *_SYSTEM, *([] if processes else [*_PROCESSES, *_MODES])]:
        if call.number is not None:
            program += [(_JUMP_IF, 0, 1, call.number), (_RETURN, 0, 0, _REFUSE)]
    program += [(_JUMP_IF, 0, 1, _CLONE3.number or 0), (_RETURN, 0, 0, _UNKNOWN)]
    if processes:
        program += _only(_CLONE, 0, (_JUMP_BITS, ANY_NAMESPACE, False))
    else:
        program += _only(_CLONE, 0, (_JUMP_BITS, CLONE_THREAD, True))
        for call in (_KILL, _TGKILL):
            program += _only(call, 0, (_JUMP_IF, own, True))
    for call in (_PRLIMIT, _AFFINITY):
        program += _only(call, 0, (_JUMP_IF, 0, True), (_JUMP_IF, own, True))
    program += _only(_SOCKETPAIR, 0, (_JUMP_IF, 1, True))  # AF_UNIX
    program += _only(_PRCTL, 0, (_JUMP_IF, PR_SET_PDEATHSIG, False))  # it dies with its keeper
    for request in (0x5412, 0x541C, 0x40086602):  # TIOCSTI, TIOCLINUX, FS_IOC_SETFLAGS
        program += _only(_IOCTL, 1, (_JUMP_IF, request, False))
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _only(call: Call, argument: int, *tests: Test) -> list[Line]:
    """Refuse a call unless one of the tests comes out as it should (several: if one is true)."""
    body: list[Line] = []
    for left, (operation, value, wanted) in zip(range(len(tests), 0, -1), tests, strict=True):
        passed, failed = left, 0 if wanted else left - 1
        jumps = (passed, failed) if wanted else (failed, passed)
        body.append((operation, *jumps, value))
    body += [(_RETURN, 0, 0, _REFUSE), (_LOAD, 0, 0, _NUMBER)]
    load = (_LOAD, 0, 0, _ARGUMENT + 8 * argument)
    return [(_JUMP_IF, 0, len(body) + 1, call.number or 0), load, *body]
