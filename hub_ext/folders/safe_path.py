"""Paths inside a folder: checked as text, and opened so that no symlink leads elsewhere.

What lies in a folder was put there by its users, who may swap a directory for a symlink at
any moment. So nothing is resolved by name twice: a path is opened once, relative to a
directory that is already open, and all further work goes through that file descriptor.
Symlinks are never followed, with openat2(2) and without it alike.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from hub_ext.errors import BadValue

MAX_COMPONENT = 255
"""Bytes of one name (NAME_MAX of Linux file systems)."""
MAX_PATH = 4095
"""Bytes of a whole path (PATH_MAX without its final NUL)."""

_SYS_OPENAT2 = 437
_SYS_RENAMEAT2 = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "ppc64le": 357, "s390x": 347}
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RENAME_NOREPLACE = 1
_TRIES = 100
"""openat2 answers EAGAIN when something was renamed meanwhile; try this often."""

# Letters that look like a separator. Harmless to the file system, but a name that shows
# itself as a path, or a path that shows itself as a name, misleads people.
_LOOK_ALIKES = frozenset("\u2044\u2215\u29f8\uff0f\uff3c\u2216\u29f5\ufe68")
# Persian, Indic scripts and emoji need the two joiners inside words.
_JOINERS = frozenset("\u200c\u200d")

_libc = ctypes.CDLL(None, use_errno=True)


class BadPath(BadValue):
    """A path that leads, or could be made to lead, out of its folder (400)."""

    code = "bad_path"


class _OpenHow(ctypes.Structure):
    """struct open_how of openat2(2)."""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def check_path(text: str, field: str = "path") -> str:
    """``text`` as a canonical relative path: NFC, single slashes, none at the end.

    Raises BadPath that says what is wrong with it.
    """
    path = unicodedata.normalize("NFC", text)
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise _refused(text, "contains bytes that are not UTF-8", field) from None
    if size > MAX_PATH:
        raise _refused(text, f"has {size} bytes; {MAX_PATH} are allowed", field)
    if path.startswith("/"):
        raise _refused(text, "is absolute; write it relative to the folder", field)
    parts = [part for part in path.split("/") if part]
    if not parts:
        raise _refused(text, "is empty", field)
    for part in parts:
        if fault := _fault(part):
            raise _refused(text, fault, field)
    return "/".join(parts)


def _fault(part: str) -> str:
    """What is wrong with one name of a path; "" nothing."""
    if part in {".", ".."}:
        return f"contains '{part}', which is not a name"
    if (size := len(part.encode())) > MAX_COMPONENT:
        return f"has a name of {size} bytes; {MAX_COMPONENT} are allowed"
    for letter in part:
        # Control and invisible letters: NUL, newline, right-to-left override, line ends.
        invisible = unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp"}
        if invisible and letter not in _JOINERS:
            return f"contains the invisible or control character U+{ord(letter):04X}"
        if letter in _LOOK_ALIKES:
            return f"contains U+{ord(letter):04X}, which looks like a separator"
    return ""


def _refused(text: str, fault: str, field: str) -> BadPath:
    shown = ascii(text if len(text) <= 80 else text[:77] + "...")
    return BadPath(f"The path {shown} {fault}.", field=field)


def open_beneath(
    root_fd: int, path: str, flags: int, mode: int = 0, *, cross_mounts: bool = True
) -> int:
    """File descriptor of ``path`` below the open directory ``root_fd``; "" is itself.

    ``path``: as ``check_path`` returns it, or one name out of a directory. No symlink is
    followed, at the end or on the way. Raises BadPath for one, OSError as open(2) does.
    """
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        if has_openat2():
            return _openat2(root_fd, path or ".", flags, mode, cross_mounts=cross_mounts)
        return _walk(root_fd, path, flags, mode)
    except OSError as error:
        if error.errno == errno.ELOOP or (error.errno == errno.EXDEV and cross_mounts):
            raise _symlink(path) from error
        raise


def _symlink(path: str) -> BadPath:
    return BadPath(
        f"The path {path!a} leads over a symbolic link, which is not followed;"
        " name the file itself.",
        field="path",
    )


@functools.cache
def has_openat2() -> bool:
    """Whether the kernel (5.6 or newer) and our own seccomp profile have openat2."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        os.close(_openat2(root, ".", os.O_PATH, 0, cross_mounts=True))
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise
        return False
    finally:
        os.close(root)
    return True


def _openat2(root_fd: int, path: str, flags: int, mode: int, *, cross_mounts: bool) -> int:
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS
    if not cross_mounts:
        resolve |= _RESOLVE_NO_XDEV
    # The kernel refuses a mode without a file to make.
    how = _OpenHow(flags, mode if flags & os.O_CREAT else 0, resolve)
    encoded = os.fsencode(path)
    for _ in range(_TRIES):
        opened = _libc.syscall(
            _SYS_OPENAT2, root_fd, encoded, ctypes.byref(how), ctypes.sizeof(how)
        )
        if opened >= 0:
            return int(opened)
        if ctypes.get_errno() not in {errno.EAGAIN, errno.EINTR}:
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)


def _walk(root_fd: int, path: str, flags: int, mode: int) -> int:
    """The same by openat(2): each name relative to the directory before, no link followed."""
    *parents, name = path.split("/") if path else ["."]
    here = os.dup(root_fd)
    try:
        for parent in parents:
            inner = _enter(here, parent)
            os.close(here)
            here = inner
        if name == "..":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        return os.open(name, flags, mode, dir_fd=here)
    finally:
        os.close(here)


def _enter(directory_fd: int, name: str) -> int:
    if name == "..":
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    try:
        return os.open(
            name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory_fd
        )
    except NotADirectoryError:
        # Linux says so of a symlink, too.
        if stat.S_ISLNK(os.stat(name, dir_fd=directory_fd, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise


@contextmanager
def parent_beneath(root_fd: int, path: str) -> Iterator[tuple[int, str]]:
    """The open directory that ``path`` lies in, and its last name in there.

    What removes, renames or makes a name takes this pair: it never follows a link at the end.
    """
    parent, _, name = path.rpartition("/")
    directory = open_beneath(root_fd, parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield directory, name
    finally:
        os.close(directory)


def rename_new(from_fd: int, old: str, to_fd: int, new: str) -> None:
    """Rename, but never over something that is there: then FileExistsError (atomic)."""
    number = _SYS_RENAMEAT2.get(os.uname().machine)
    if number is not None:
        done = _libc.syscall(
            number, from_fd, os.fsencode(old), to_fd, os.fsencode(new), _RENAME_NOREPLACE
        )
        if done == 0:
            return
        # EINVAL: NFS and others that cannot do it; also a directory moved into itself,
        # of which the plain rename below complains in the same way.
        if (code := ctypes.get_errno()) not in {errno.ENOSYS, errno.EINVAL}:
            raise OSError(code, os.strerror(code), new)
    _rename_unless_there(from_fd, old, to_fd, new)


def _rename_unless_there(from_fd: int, old: str, to_fd: int, new: str) -> None:
    """Where the file system has no such rename: a file by link(2), which is as atomic.

    A directory is looked for first; an empty one made in between would be replaced.
    """
    found = os.stat(old, dir_fd=from_fd, follow_symlinks=False)
    if stat.S_ISREG(found.st_mode):
        os.link(old, new, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
        os.unlink(old, dir_fd=from_fd)
        return
    try:
        os.stat(new, dir_fd=to_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=from_fd, dst_dir_fd=to_fd)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
