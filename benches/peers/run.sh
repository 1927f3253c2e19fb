#!/bin/sh
# Builds the two C tools into work/bin and runs bench.py with the given arguments.
# Needs: gcc, taskset, python3 with maxminddb (and numpy for gen/mmdb_rewrite.py).
set -eu
cd "$(dirname "$0")"
mkdir -p work/bin
for t in pbload pbecho; do
    if [ ! -x work/bin/$t ] || [ src/$t.c -nt work/bin/$t ]; then
        gcc -O2 -Wall -o work/bin/$t src/$t.c
    fi
done
if [ ! -e work/city.mmdb ] && [ -z "${PB_MMDB:-}" ]; then
    echo "no work/city.mmdb: make one with ./city-db work (see README.md) or set PB_MMDB" >&2
    exit 2
fi
exec python3 bench.py "$@"
