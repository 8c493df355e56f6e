"""The commands on the files of a data directory of their own, with no server."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from posthouse.app.cli import main


class Shell:
    """`settings` are more lines of the configuration."""

    def __init__(self, directory: Path, settings: str = "") -> None:
        self.directory = directory
        self.file = directory / "p.toml"
        self.file.write_text(f'hostname = "mail.example.org"\ndata = "{directory}/data"\n{settings}')

    def run(self, *arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(main, ["-c", str(self.file), *arguments], input=typed, prog_name="posthouse")

    def do(self, *arguments: str, typed: str = "") -> str:
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, result.output
        return result.output

    def fails(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 1, result.output
        return result.output

    def rows(self, *arguments: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.do(*arguments, "--json").splitlines()]
