"""Rules about what may be committed: nothing that only makes sense on one machine, nothing that is not pinned by hash."""

from __future__ import annotations

import json
import re

_REGISTRY = re.compile(
    r"\bpypi\.org|\bpythonhosted\.org|\bnpmjs\.(?:org|com)|\byarnpkg\.com|\bproxy\.golang\.org|\bcrates\.io|--(?:extra-)?index-url[ =]+http"
)
_MACHINE_PATH = re.compile(r"(?<![\w./~$}-])/(?:home|root|Users|opt|work|tmp|private|mnt)/[\w.][^\s\"'`)]*")
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;]+)(?: ; .+)?$")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}$")


def registry_hosts(text: str) -> list[str]:
    """Find package registries by name. Which one is used is the business of whoever installs."""
    return _found(_REGISTRY, text)


def machine_paths(text: str) -> list[str]:
    """Find absolute paths that exist on one machine only."""
    return _found(_MACHINE_PATH, text)


def _found(pattern: re.Pattern[str], text: str) -> list[str]:
    return [
        f"{number}: {match.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def unpinned(lock: str) -> list[str]:
    """Find what pip's hash-checking would not cover: options, addresses, requirements without `==` or without hashes."""
    found = []
    for entry in re.sub(r"(?m)^\s*#.*\n?", "", lock).replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s+(?=--hash)", entry.strip())
        if not requirement:
            continue
        if requirement.startswith("-") or "://" in entry or not _PIN.match(requirement):
            found.append(f"{requirement}: not `name==version`")
        elif not hashes or not all(_HASH.match(each) for each in hashes):
            found.append(f"{requirement}: no hash")
    if "://" in lock:
        found.append("an address")
    return found


def pins(lock: str) -> dict[str, str]:
    """Return name to version of a lock file's requirements."""
    matches = (_PIN.match(line.removesuffix("\\").strip()) for line in lock.splitlines())
    return {normalised(match[1]): match[2] for match in matches if match}


def normalised(name: str) -> str:
    """Return a distribution name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def unpinned_packages(package_lock: str) -> list[str]:
    """Find entries of a package-lock.json that have no integrity hash or name the host they came from."""
    packages = json.loads(package_lock)["packages"]
    found = [f"{path}: no integrity" for path, entry in packages.items() if path and "integrity" not in entry]
    return found + [f"{path}: {entry['resolved']}" for path, entry in packages.items() if "resolved" in entry]
