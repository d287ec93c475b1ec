#!/bin/sh
# Installs the Debian packages that a list names and this machine lacks. Called by .ci/run; run as
# `sh scripts/install_debian_packages.sh scripts/debian-packages.txt`. What cannot be installed is said and left out:
# its tests are skipped, and named at the end of the run.
set -eu

missing=
for package in $(sed 's/#.*//' "$1"); do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

left_out() { echo "debian packages:$missing left out, and the tests that need them: $1" >&2; exit 0; }
command -v apt-get >/dev/null || left_out "there is no apt-get here"
[ "$(id -u)" = 0 ] || left_out "only root installs; run apt-get install$missing"
echo "debian packages: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || left_out "apt-get update failed"
# shellcheck disable=SC2086 # names of packages, a word each
apt-get install -qq --no-install-recommends $missing >/dev/null || left_out "apt-get install failed"
