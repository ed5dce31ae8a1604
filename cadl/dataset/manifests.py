"""What each source's tiles were made from, remembered beside them."""

from pathlib import Path

from cadl import console, files
from cadl.dataset import shards
from cadl.images import closeups


def manifest_path(folder: Path, kind: str, name: str) -> Path:
    """Names the file that remembers what a source's tiles were made from."""
    return folder / f"{kind}-{name}.json"


def load_manifest(folder: Path, kind: str, name: str) -> dict | None:
    """Returns what a source's tiles were made from, None if they must be made again."""
    try:
        manifest = files.read_json(manifest_path(folder, kind, name))
        return manifest if manifest["sizes"] == shard_sizes(folder, kind, name) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def shard_sizes(folder: Path, kind: str, name: str) -> list[int]:
    """Returns the bytes of each shard of a source."""
    return [path.stat().st_size for path in shards.shards_of(folder, f"{kind}-{name}")]


def remove_gone(folder: Path, known: set[tuple[str, str]], remove: bool) -> None:
    """Removes tiles of sources that are no longer there, or says that they stay."""
    matches = [shards.match_name(path) for path in folder.glob("*.tfrecord.gz")]
    for kind, name in sorted({(match[1], match[2]) for match in matches if match} - known):
        if not remove:
            console.warn(f"{kind} {name} is gone, its tiles stay; --remove-gone yes removes them")
            continue
        manifest_path(folder, kind, name).unlink(missing_ok=True)
        for shard in shards.shards_of(folder, f"{kind}-{name}"):
            shard.unlink()
        closeups.path_of(folder, name).unlink(missing_ok=True)
        console.say(f"removed the tiles of {kind} {name}, which is gone")
