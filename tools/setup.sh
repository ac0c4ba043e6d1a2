#!/bin/sh
# Installs what Pinnace and its tests need: distribution packages (when they are missing) and a virtual environment.
set -eu
venv=${1:-.venv}
python=${PYTHON:-python3}

packages="runc conmon nftables iproute2 iptables busybox-static mmdebstrap skopeo docker-registry git openssh-client curl ca-certificates"
guest_packages="qemu-system-x86 e2fsprogs"
[ "$(uname -m)" = x86_64 ] && packages="$packages $guest_packages"

missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ -n "$missing" ]; then
  [ "$(id -u)" = 0 ] || { echo "setup: these packages are missing:$missing" >&2; echo "hint: run it as root, or: sudo apt-get install$missing" >&2; exit 1; }
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
  # The tests start a registry themselves: the one that the package starts would only take port 5000.
  case "$missing" in *docker-registry*) systemctl disable --now docker-registry >/dev/null 2>&1 || true ;; esac
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -e '.[dev]'
