#!/bin/sh
# Makes .venv and installs this project into it. Called by make; run as `sh scripts/set_up.sh STAMP` from the top.
set -eu
stamp=$1

# An interpreter is judged by running it: a name on the PATH may be a shim with nothing behind it.
runs() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
makes_venvs() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

choose() {
    lame=
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        runs "$candidate" || continue
        if makes_venvs "$candidate"; then
            echo "$candidate"
            return
        fi
        lame=${lame:-$candidate}
    done
    if [ -n "$lame" ]; then
        echo "make: $lame has no venv or ensurepip: install it (Debian and Ubuntu: apt install $("$lame" -c \
            'import sys; print("python%d.%d-venv" % sys.version_info[:2])')) and run make again" >&2
    else
        echo "make: no Python 3.11 or later was found on the PATH: install one and run make again" >&2
    fi
    return 1
}

# What is there is kept, if it still runs and was made in this place.
if ! { runs .venv/bin/python && [ "$(cat "$stamp" 2>/dev/null || pwd)" = "$(pwd)" ] \
    && .venv/bin/python -c 'import pip' 2>/dev/null; }; then
    python=$(choose)
    echo "setting up .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi

rm -f "$stamp"
echo "installing into .venv"
# The pip that comes with an older Python takes twice as long to find the same packages; without a newer one it must do.
.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-compile 'pip>=25' || true
# One pip has one core. So what the tests were run with is installed by several beside each other first, each a part of it
# without a look at what needs what; the pip behind them decides, and adds or mends what is amiss.
parts=3
for part in $(seq $parts); do
    sed '/^#/d' constraints.txt | awk "NR % $parts == $part - 1" >".venv/part-$part"
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-warn-script-location --no-compile \
        --no-deps --no-binary cobs --requirement ".venv/part-$part" 2>/dev/null &
done
wait
rm .venv/part-*
# The wheel of cobs is pure Python and 20 times slower; its source compiles where there is a compiler. What is imported
# is compiled then; what never is, need not be. A path to this directory is found faster than a finder of its packages.
.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-warn-script-location --no-compile \
    --config-settings editable_mode=compat --no-binary cobs --constraint constraints.txt --editable '.[dev,rig]'
.venv/bin/python -m compileall -q protocol firmware_emu hil
pwd >"$stamp"
