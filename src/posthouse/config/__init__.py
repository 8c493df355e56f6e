"""One tree of typed, frozen settings, read from TOML; the manual and the example file are generated from it."""

from posthouse.config.reader import ConfigError, Problem, load, parse
from posthouse.config.settings import Settings

__all__ = ["ConfigError", "Problem", "Settings", "load", "parse"]
