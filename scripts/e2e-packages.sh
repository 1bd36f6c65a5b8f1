#!/bin/sh
# Installs what the end-to-end tests (and, with `bench`, the benchmark) need from Debian. Needs root.
set -e
packages="freeradius freeradius-postgresql freeradius-utils mariadb-client-core mariadb-server-core gcc libc6-dev snmpd"
if [ "$1" = bench ]; then packages="$packages postgresql libssl-dev"; fi
missing=""
for package in $packages; do dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"; done
if [ -n "$missing" ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
