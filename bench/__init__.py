"""Every speed we claim, measured beside a peer in the same run. `python -m bench.run --help`."""
