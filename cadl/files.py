"""Files that are whole or absent, and folders with one writer."""

import atexit
import contextlib
import errno
import fcntl
import functools
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from cadl import console
from cadl.errors import UserError

# Errors of NumPy for a damaged .npz file, or for one with other arrays.
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
SEAL = "checksum"  # of everything else in the file
LOCK = ".lock"  # in each folder that is worked in for long
LONGEST_NAME = 100  # bytes of a source's name: two of them and a suffix fit into a file's name
NOT_PLAIN = re.compile(r"[][*?#\\\ud800-\udfff]")  # what means something else in some paths
PIECE, PIECES = 1 << 20, 32  # bytes and number of the parts of a file that tell it from others


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path`; renames it to `path` if the block succeeds.

    The temporary keeps the suffix, by which writers choose a format. What it holds is flushed to
    the disk before the rename; after an error it is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_parts_of_the_dead(path)
    temporary = path.with_name(f".part-{_this_machine()}-{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno == errno.ENOSPC and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def only_one(folder: Path, awaited: str = "") -> Iterator[None]:
    """Holds a lock on a folder for the block; a second run is refused, or waits.

    Args:
        folder: that is worked in.
        awaited: what a second run waits for, in words; empty: it is refused.

    Raises:
        UserError: another process holds the lock, and nothing is awaited.
    """
    path = folder / LOCK
    try:
        file = lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not awaited:
            raise in_use(folder) from None
        console.say(f"another run makes {awaited}: waiting for it")
        file = lock(path, fcntl.LOCK_EX)
    with file:
        yield


def in_use(folder: Path) -> UserError:
    """Returns the error that refuses a second run."""
    return UserError(f"another run is writing {folder}: wait for it or stop it")


def lock(path: Path, mode: int) -> IO[str]:
    """Opens a file and locks it, until it is closed or the process ends.

    Args:
        path: the file; it is made if there is none.
        mode: as `fcntl.flock` has it.

    Raises:
        BlockingIOError: another process holds a lock, and `mode` says not to wait.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as stack:
            file = stack.enter_context(path.open("a+", encoding="utf-8"))
            fcntl.flock(file, mode)
            if is_at(path, file):
                stack.pop_all()
                return file


def is_at(path: Path, file: IO) -> bool:
    """Returns False if an open file was removed from its path: another run may have done so."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESTALE):  # the latter is of a shared disk
            raise
        return False


@functools.cache
def _this_machine() -> str:
    """Returns what tells this machine's processes from those of others that share the disk."""
    return hash_of([platform.node()])[:8]


def _remove_parts_of_the_dead(path: Path) -> None:
    """Removes temporaries of `path` whose process was killed on this machine."""
    for stale in path.parent.glob(f".part-{_this_machine()}-*-{glob.escape(path.name)}"):
        owner = stale.name.split("-")[2]
        if owner.isdigit() and Path("/proc").is_dir() and not Path("/proc", owner).exists():
            stale.unlink(missing_ok=True)


def write_json(path: Path, contents: Any) -> None:
    """Writes `contents` whole or not at all."""
    with whole_file(path) as temporary:
        text = json.dumps(contents, indent=1, ensure_ascii=True)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Returns the contents of a JSON file.

    Raises:
        FileNotFoundError: there is none.
        UserError: the file is damaged; it is named.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is damaged ({error})") from None


def write_sealed(path: Path, contents: dict[str, Any]) -> None:
    """Writes JSON with a checksum in it: what is read must be what was written."""
    write_json(path, {**contents, SEAL: _seal(contents)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Returns what `write_sealed` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file is damaged or was changed; it is named.
    """
    contents = read_json(path)
    if not isinstance(contents, dict) or contents.pop(SEAL, None) != _seal(contents):
        raise UserError(f"{path} is damaged or was changed: it does not match its checksum")
    return contents


def _seal(contents: dict[str, Any]) -> str:
    return hash_of([json.dumps(contents, sort_keys=True)])


def hash_of(parts: Iterable[bytes | str]) -> str:
    """Returns 16 hexadecimal digits that stand for the parts in their order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def checksums(folder: Path, besides: str) -> dict[str, str]:
    """Returns the SHA-256 of every file in a folder, and in those within, besides one."""
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    return {name: checksum(x) for name, x in paths.items() if x.is_file() and name != besides}


def exists(name: str, *, as_file: bool = False) -> bool:
    """Says whether a path exists, or whether it is a file.

    Returns False for a name that is too long, for which `Path.exists` raises an error.
    """
    return (os.path.isfile if as_file else os.path.exists)(name)


def checksum(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(path: Path) -> list:
    """Returns size and hash of a file's contents, which stay when it is moved, renamed or copied.

    A file of more than 32 MiB is hashed at both ends and at places between them. One that can't be
    read has the hash of nothing: whoever reads it next says why.
    """
    size = path.stat().st_size
    places = {*range(0, size, max(PIECE, size // PIECES)), max(0, size - PIECE)}
    pieces = []
    with contextlib.suppress(OSError), path.open("rb") as file:
        for place in sorted(places):
            file.seek(place)
            pieces.append(hashlib.sha256(file.read(PIECE)).digest())
    return [size, hash_of(pieces)]


def source_name(name: str) -> str:
    """Turns a folder's or file's name into a source's: lower case, dashes for the rest.

    Letters, their marks and digits stay. A name of none of them, or of more than LONGEST_NAME
    bytes, ends in a hash.
    """
    name, found = unicodedata.normalize("NFC", name), ""
    for character in name.lower():
        kind = unicodedata.category(character)[0]
        is_kept = kind in "LN" or (kind == "M" and found[-1:] not in ("", "-"))
        found += character if is_kept else "-"
    found = unicodedata.normalize("NFC", re.sub("-+", "-", found).strip("-"))
    if found and len(found.encode()) <= LONGEST_NAME:
        return found
    begin = found.encode()[: LONGEST_NAME - 9].decode(errors="ignore").strip("-")
    return f"{begin or 'unnamed'}-{hash_of([name])[:8]}"


def plain_path(folder: Path) -> Path:
    """Returns a name of a folder that TensorFlow, and ffmpeg for a list of files, can open.

    TensorFlow takes brackets, stars and question marks in a name for a pattern (tensorflow issue
    34290), and takes no name that is not UTF-8; ffmpeg takes # and ? for parts of an address. Such
    a folder gets a link in a temporary folder, which is removed when the process ends.
    """
    return _link_to(folder.absolute()) if NOT_PLAIN.search(str(folder.absolute())) else folder


@functools.cache
def _link_to(folder: Path) -> Path:
    usual = tempfile.gettempdir()
    kept = tempfile.mkdtemp(prefix="link-", dir="/tmp" if NOT_PLAIN.search(usual) else usual)
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    link = Path(kept, "folder")
    link.symlink_to(folder)
    return link
