"""The project's own checks, run by `make check`. Each prints `file:line: what is wrong` and exits 1."""
