#!/bin/sh
# The oldest versions that we promise on Python 3.10, and today's on every other Python that is here.
# `make test-floor`, or `sh bench/test_floor.sh 3.10` for one of them. Environments are kept in .venv-floor-*.
set -eu
cd "$(dirname "$0")/.."
FLOORS="torch==2.1.2 numpy==1.26.4 kornia==0.6.7 safetensors==0.4.1 opencv-python==4.11.0.86 librosa==0.10.1 av==14.0.1
 scikit-image==0.22.0 pillow==10.0.1 pooch==1.8.0 filelock==3.12.4 tqdm==4.66.1"
TORCH=${TORCH:-torch}
failed=""
for version in ${1:-3.10 3.11 3.12 3.13}; do
    python=$(ls "$HOME/.pyenv/versions/$version".*/bin/python 2>/dev/null | tail -n 1 || true)
    [ -n "$python" ] || python=$(command -v "python$version" || true)
    if [ -z "$python" ]; then echo "Python $version: not here, skipped"; continue; fi
    venv=".venv-floor-$version"
    [ -d "$venv" ] || "$python" -m venv "$venv"
    wanted=$TORCH
    [ "$version" = 3.10 ] && wanted=$FLOORS
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip install -q $wanted
    # shellcheck disable=SC2086
    if [ "$version" = 3.10 ]; then
        "$venv/bin/python" -m pip install -q -e . pytest pytest-timeout hypothesis psutil $FLOORS
    else
        "$venv/bin/python" -m pip install -q -e . pytest pytest-timeout hypothesis psutil
    fi
    echo "Python $version:"
    "$venv/bin/python" -m pytest -q -W default || failed="$failed $version"
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
