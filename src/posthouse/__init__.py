"""Posthouse: a complete Internet mail system in one package.

The folders are the roles of RFC 5598; `docs/flow.md` follows one message through them.
"""

__version__ = "0.1.0"
