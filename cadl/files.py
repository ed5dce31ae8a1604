"""Files that are whole or absent, and folders with one writer."""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cadl.errors import UserError

SEAL = "checksum"  # of everything else in the file


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path`; renames it to `path` if the block succeeds.

    The temporary keeps the suffix, by which writers choose a format. What it holds is flushed to
    the disk before the rename; after an error it is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_parts_of_the_dead(path)
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Holds a lock on a folder for the block; a second run is refused.

    Raises:
        UserError: another process holds the lock.
    """
    path = folder / ".lock"
    with contextlib.ExitStack() as stack:
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("w", encoding="utf-8"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another run is writing {folder}: wait for it or stop it"
                ) from None
            # Another run may have removed the folder, and the file with it, before we had it.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    break
        yield


def _remove_parts_of_the_dead(path: Path) -> None:
    """Removes temporaries of `path` whose process was killed."""
    for stale in path.parent.glob(f".part-*-{glob.escape(path.name)}"):
        owner = stale.name.split("-")[1]
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
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != besides:
            found[name] = checksum(path)
    return found


def exists(name: str, *, as_file: bool = False) -> bool:
    """Says whether something, or a file, has a name; nobody has one that is too long for a name.

    `Path.exists` raises an error then.
    """
    return (os.path.isfile if as_file else os.path.exists)(name)


def is_hidden(path: Path, root: Path) -> bool:
    """Says whether a dot begins a file's name, or that of a folder between it and the root."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def checksum(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(path: Path) -> list:
    """Returns name, size and time of a file: changes when the file does."""
    status = path.stat()
    return [str(path.absolute()), status.st_size, status.st_mtime_ns]


def source_name(name: str) -> str:
    """Turns a folder's or file's name into a source's: lower case, dashes for the rest."""
    name = unicodedata.normalize("NFC", name).lower()
    return re.sub(r"[\W_]+", "-", name).strip("-") or "unnamed"
