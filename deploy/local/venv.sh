#!/usr/bin/env bash
# Makes the virtual environment $1 with what $2 pins, of the quickest Python this machine has ($PYTHON chooses another).
set -euo pipefail
venv=$1 pinned=$2

# A distribution builds its Python with profile-guided optimisation; one that pyenv compiled mostly was built without,
# and takes a sixth more CPU for everything (docs/performance.md).
python=
for candidate in ${PYTHON:-/usr/bin/python3 python3}; do
    if [ -z "$python" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 or later is needed, and ${PYTHON:-python3} is not it" >&2
    exit 1
fi

# Debian's Python has no pip to put into an environment unless python3-venv is there; any other pip installs as well.
if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv "$venv"
    pip=("$venv/bin/python" -m pip)
elif python3 -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --without-pip "$venv"
    pip=(python3 -m pip --python "$venv/bin/python")
else
    echo "pip is needed: install python3-venv or python3-pip" >&2
    exit 1
fi
"${pip[@]}" install --disable-pip-version-check --progress-bar off --quiet --require-hashes -r "$pinned"
