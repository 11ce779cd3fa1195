#!/bin/sh
# Installs Debian's Chromium if this is root on a machine with apt-get; otherwise says so and goes on.
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "headlamp: no chromium here and no right to install it; browser tests will be skipped"
    exit 0
fi
echo "     installing chromium for the browser tests ..."
apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null ||
    echo "headlamp: chromium could not be installed; browser tests will be skipped"
