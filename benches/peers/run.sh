#!/bin/sh
# Runs bench.py, which builds the C tools that it needs, with the given arguments.
# Needs: gcc, taskset, python3 with maxminddb (and numpy for gen/mmdb_rewrite.py).
exec python3 "$(dirname "$0")/bench.py" "$@"
