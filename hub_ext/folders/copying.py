"""Copies a tree as ``cp -a`` does, for a new owner, and as fast.

Kept: modes, times, extended attributes of users and ACLs, holes in sparse files, hard links
among the copied, symlinks as symlinks. Everything belongs to the user ``work`` afterwards;
file capabilities and other attributes of the system are not carried over. Special files are
left out. What vanishes or changes its kind meanwhile is left out, too; a file that cannot be
read fails the copy, since a copy with holes would be taken for a whole one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from hub_ext.folders.contents import WORK_UID
from hub_ext.folders.copied_links import CopiedLinks
from hub_ext.folders.descent import VANISHED, Descent

_SMALL = 128 * 1024
"""Bytes up to which one read and one write are faster than asking the kernel to copy."""
_CHUNK = 64 * 1024 * 1024
"""Bytes between two looks at the clock."""
_FICLONE = 0x40049409
_MOST_UNREADABLE = 10
_NAMED = 3
_SHOWN = 100
"""Letters of a path in a message."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CANNOT = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM}
)
"""The file system has no such way to copy; a plainer one does it."""
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TARGET = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class CopyFailed(Exception):
    """The message says why, naming what is at fault."""


class _Unreadable(Exception):
    """The source's fault, not the target's."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(slots=True)
class _Level:
    """A directory being copied."""

    name: str
    found: os.stat_result
    directories: list[str]


class TreeCopy:
    """One copy, of the content of one open directory into another, which is empty."""

    def __init__(
        self, source_fd: int, target_fd: int, on_progress: Callable[[int, int], None]
    ) -> None:
        self.bytes_done = 0
        """Lengths of the regular files so far."""
        self.files_done = 0
        self._source_fd = source_fd
        self._target_fd = target_fd
        self._on_progress = on_progress
        self._owned = os.geteuid() == 0
        self._links = CopiedLinks(target_fd)
        self._levels: list[_Level] = []
        self._special: list[str] = []
        self._specials = 0
        self._unreadable: list[str] = []
        self._reflinks = self._attributes = self._kernel_copies = True

    def run(self) -> None:
        """Raises CopyFailed; the target is half then. Changes the umask of the process."""
        os.umask(0)
        try:
            with (
                closing(Descent(self._source_fd)) as source,
                closing(Descent(self._target_fd)) as target,
            ):
                _no_inherited_acl(target.fd)
                self._copy_all(source, target)
        except _Unreadable as error:
            raise CopyFailed(f"The folder cannot be read: {error.cause.strerror}.") from error
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise CopyFailed(
                f"The storage became full after {self.files_done} files"
                f" ({self.bytes_done / 1e9:.1f} GB). Nothing of the copy is kept."
            ) from error
        self._refuse_unreadable()

    def note(self) -> str:
        """What was left out, in words; "" nothing."""
        if not self._special:
            return ""
        named = _some(self._special, self._specials)
        return f"{self._specials} left out (pipes, sockets or devices): {named}."

    def _copy_all(self, source: Descent, target: Descent) -> None:
        self._scan("", source.fd, target.fd)
        while self._levels:
            directories = self._levels[-1].directories
            if directories:
                self._descend(source, target, directories.pop())
            else:
                self._leave(source, target)

    def _scan(self, name: str, source_fd: int, target_fd: int) -> None:
        """Copy what is no directory, note what is."""
        level = _Level(name, os.fstat(source_fd), [])
        self._levels.append(level)
        with os.scandir(source_fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    level.directories.append(entry.name)
                else:
                    self._copy_entry(entry, source_fd, target_fd)

    def _descend(self, source: Descent, target: Descent, name: str) -> None:
        try:
            source.enter(name)
        except OSError as error:
            self._cannot_read(name, error)
            return
        os.mkdir(name, 0o700, dir_fd=target.fd)
        target.enter(name)
        self._scan(name, source.fd, target.fd)

    def _leave(self, source: Descent, target: Descent) -> None:
        """Times last: writing into a directory changes them."""
        level = self._levels.pop()
        if not self._levels:
            self._links.close()
        self._describe(source.fd, target.fd, level.found)
        if source.leave() or target.leave():
            raise CopyFailed(
                "Directories were moved while they were copied, so that some cannot be found any"
                " more. Clone again when nothing moves them."
            )

    def _path(self, name: str) -> str:
        """Of a name in the directory that is being copied, relative to the folder."""
        return "/".join([*(level.name for level in self._levels[1:]), name])

    def _copy_entry(self, entry: os.DirEntry[str], source_fd: int, target_fd: int) -> None:
        try:
            if entry.is_symlink():
                self._copy_symlink(entry.name, source_fd, target_fd)
            elif entry.is_file(follow_symlinks=False):
                self._copy_file(entry.name, source_fd, target_fd)
            else:
                self._leave_out(entry.name)
                return
        except _Unreadable as error:
            self._cannot_read(entry.name, error.cause)
            return
        self.files_done += 1
        self._on_progress(self.bytes_done, self.files_done)

    def _copy_symlink(self, name: str, source_fd: int, target_fd: int) -> None:
        try:
            found = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
            leads_to = os.readlink(name, dir_fd=source_fd)
        except OSError as error:
            raise _Unreadable(error) from error
        os.symlink(leads_to, name, dir_fd=target_fd)
        if self._owned:
            os.chown(name, WORK_UID, WORK_UID, dir_fd=target_fd, follow_symlinks=False)
        times = (found.st_atime_ns, found.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=target_fd, follow_symlinks=False)

    def _copy_file(self, name: str, source_fd: int, target_fd: int) -> None:
        source = _open_source(name, source_fd)
        try:
            found = os.fstat(source)
            if not stat.S_ISREG(found.st_mode):
                raise _Unreadable(OSError(errno.ENOENT, "it became something else"))
            if found.st_nlink > 1 and self._links.link(found, target_fd, name):
                return
            self._copy_opened(source, found, target_fd, name)
        finally:
            os.close(source)
        if found.st_nlink > 1:
            self._links.remember(found, target_fd, name, self._path(name))

    def _copy_opened(self, source: int, found: os.stat_result, target_fd: int, name: str) -> None:
        target = os.open(name, _TARGET, found.st_mode & 0o777, dir_fd=target_fd)
        try:
            self._copy_content(source, target, found)
            self._describe(source, target, found)
        finally:
            os.close(target)

    def _copy_content(self, source: int, target: int, found: os.stat_result) -> None:
        """As long as it was when it was opened; less if it became shorter meanwhile."""
        size = found.st_size
        holes = found.st_blocks * 512 < size
        if size <= _SMALL and not holes:
            _copy_piece(source, target, 0, size)
            self.bytes_done += size
            return
        if self._reflinks and self._clone_range(source, target):
            self.bytes_done += size
            return
        before = self.bytes_done
        for start, end in _data(source, size) if holes else [(0, size)]:
            self._copy_range(source, target, start, end, before)
        if holes:
            os.truncate(target, min(size, os.fstat(source).st_size))
        self.bytes_done = before + size

    def _clone_range(self, source: int, target: int) -> bool:
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            self._reflinks = False
        return self._reflinks

    def _copy_range(self, source: int, target: int, start: int, end: int, before: int) -> None:
        while start < end:
            piece = min(end - start, _CHUNK)
            copied = self._copy_some(source, target, start, piece)
            if copied == 0:
                return
            start += copied
            self.bytes_done = before + start
            self._on_progress(self.bytes_done, self.files_done)

    def _copy_some(self, source: int, target: int, start: int, length: int) -> int:
        if self._kernel_copies:
            try:
                return os.copy_file_range(source, target, length, start, start)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise self._blame(error) from error
                self._kernel_copies = False
        return _copy_piece(source, target, start, min(length, 8 * _SMALL))

    def _blame(self, error: OSError) -> Exception:
        """The kernel copied; the error may be of either side."""
        return error if error.errno in _FULL | {errno.EROFS, errno.EFBIG} else _Unreadable(error)

    def _describe(self, source: int, target: int, found: os.stat_result) -> None:
        """Owner before mode: a change of owner takes set-user-id bits away.

        A file without them was made with its mode.
        """
        if self._owned:
            os.fchown(target, WORK_UID, WORK_UID)
        if self._attributes:
            self._copy_attributes(source, target)
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o7000:
            os.fchmod(target, stat.S_IMODE(found.st_mode))
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _copy_attributes(self, source: int, target: int) -> None:
        try:
            names = os.listxattr(source)
        except OSError as error:
            self._attributes = error.errno != errno.EOPNOTSUPP
            return
        for name in names:
            if name.startswith(("user.", "system.posix_acl_")):
                _copy_attribute(source, target, name)

    def _leave_out(self, name: str) -> None:
        self._specials += 1
        if len(self._special) < _NAMED:
            self._special.append(_shown(self._path(name)))

    def _cannot_read(self, name: str, error: OSError) -> None:
        if error.errno in VANISHED:
            return
        self._unreadable.append(f"{_shown(self._path(name))!a} ({error.strerror})")
        if len(self._unreadable) >= _MOST_UNREADABLE:
            self._refuse_unreadable()

    def _refuse_unreadable(self) -> None:
        if self._unreadable:
            named = _some(self._unreadable, len(self._unreadable))
            more = " or more" if len(self._unreadable) >= _MOST_UNREADABLE else ""
            raise CopyFailed(
                f"{len(self._unreadable)}{more} cannot be read: {named}."
                " Change their permissions in a session, or delete them, and clone again."
            )


def _open_source(name: str, directory_fd: int) -> int:
    try:
        return os.open(name, _SOURCE, dir_fd=directory_fd)
    except OSError as error:
        raise _Unreadable(error) from error


def _copy_piece(source: int, target: int, start: int, length: int) -> int:
    """Bytes copied, by reading and writing; fewer than ``length`` at the end of the file."""
    done = 0
    while done < length:
        try:
            piece = os.pread(source, length - done, start + done)
        except OSError as error:
            raise _Unreadable(error) from error
        if not piece:
            break
        written = 0
        while written < len(piece):
            written += os.pwrite(target, piece[written:], start + done + written)
        done += len(piece)
    return done


def _data(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a sparse file has data: (start, end)."""
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
            end = os.lseek(source, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise _Unreadable(error) from error
        yield start, min(end, size)


def _copy_attribute(source: int, target: int, name: str) -> None:
    try:
        os.setxattr(target, name, os.getxattr(source, name))
    except OSError as error:
        # The target's storage keeps fewer or smaller attributes: not worth failing for.
        if error.errno not in {errno.ENODATA, errno.EOPNOTSUPP, errno.ERANGE, errno.E2BIG}:
            raise


def _no_inherited_acl(target: int) -> None:
    """Modes are the source's, whatever the storage root would have new files get."""
    try:
        os.removexattr(target, "system.posix_acl_default")
    except OSError as error:
        if error.errno not in {errno.ENODATA, errno.EOPNOTSUPP}:
            raise


def _shown(path: str) -> str:
    """The end of a path that is too long for a message."""
    return path if len(path) <= _SHOWN else "..." + path[-_SHOWN:]


def _some(paths: list[str], number: int) -> str:
    more = number - len(paths[:_NAMED])
    return ", ".join(paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")
