#!/usr/bin/env bash
# Real software for tests/interop and bench, from Debian's packages. Needs root; a second run does nothing.
# Real mail too: source archives named in corpora.txt, unpacked for tests only.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)

exim_root=${EXIM_ROOT:-/usr/local/lib/posthouse-interop/exim}
suite_root=${PYTHON_SUITE_ROOT:-/usr/local/lib/posthouse-interop/python}
corpora_root=${CORPORA_ROOT:-/usr/local/lib/posthouse-interop/corpora}
packages=(postfix dovecot-core dovecot-imapd dovecot-lmtpd dovecot-pop3d swaks libnet-ssleay-perl libsasl2-modules msmtp curl nsd iproute2 openssl libdb5.3 libgnutls-dane0 libidn12 libpcre2-8-0 libnsl2 ca-certificates strace unbound python3-venv e2fsprogs mount util-linux fetchmail getmail6 mpop isync offlineimap3 neomutt aerc tmux thunderbird xvfb faketime chromium)

is_complete() {
    dpkg-query -W -f '${db:Status-Status}\n' "${packages[@]}" 2>/dev/null | grep -vqx installed && return 1
    [ "$(dpkg-query -W -f '${db:Status-Status}\n' "${packages[@]}" 2>/dev/null | wc -l)" = "${#packages[@]}" ] || return 1
    cmp -s "$here/corpora.txt" "$corpora_root/corpora.txt" || return 1
    [ -d "$suite_root/usr/lib/python3.11/test/test_email/data" ] || return 1
    [ -x "$exim_root/usr/sbin/exim4" ] && getent passwd Debian-exim >/dev/null
}

retry() {
    for pause in 5 15 30 0; do
        "$@" && return 0
        sleep "$pause"
    done
    return 1
}

if is_complete; then exit 0; fi
[ "$(id -u)" = 0 ] || { echo "root is needed to install Debian's packages" >&2; exit 1; }

export DEBIAN_FRONTEND=noninteractive
# Nothing that is installed here may start a server of its own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
retry apt-get -qq update
retry apt-get -qq install -y --no-install-recommends "${packages[@]}" >/dev/null

# Debian does not install two MTAs beside each other: Exim is unpacked.
work=$(mktemp -d)
chmod 755 "$work"
(cd "$work" && retry apt-get -qq download exim4-base exim4-daemon-light)
mkdir -p "$exim_root"
for package in "$work"/*.deb; do dpkg -x "$package" "$exim_root"; done
rm -rf "$work"
getent passwd Debian-exim >/dev/null || useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin Debian-exim

# Real and broken messages: the test data of Python's own email package, unpacked for tests only.
work=$(mktemp -d)
chmod 755 "$work"
(cd "$work" && retry apt-get -qq download libpython3.11-testsuite)
mkdir -p "$suite_root"
dpkg -x "$work"/*.deb "$suite_root"
rm -rf "$work"

# What pip asks of an archive before it keeps it may need a build backend, which it gets by itself.
python="$here/../../.venv/bin/python"
[ -x "$python" ] || python=python3
work=$(mktemp -d)
retry "$python" -m pip download -q --no-deps --require-hashes -r "$here/corpora.txt" -d "$work"
rm -rf "$corpora_root"
mkdir -p "$corpora_root"
for archive in "$work"/*.tar.gz; do tar -xzf "$archive" --no-same-owner -C "$corpora_root"; done
rm -rf "$work"
cp "$here/corpora.txt" "$corpora_root/corpora.txt"
