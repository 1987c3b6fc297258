#!/bin/bash
# Make this folder ready to run: Debian packages, a Python environment in .venv/ from requirements.lock, and
# the command .venv/bin/hoso. May be repeated (the second run takes a moment) and interrupted (the next run
# goes on). Writes only to .venv/ and var/; needs the network the first time. Details go to var/setup.log.
# With --tests also what only the tests need: programs that look at tokens and documents with other eyes than ours.
#
# PYTHON names another Python to use. The configuration of pip (index, certificates, links) is honoured.
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 022

readonly log=var/setup.log
readonly stamp=.venv/.set-up
readonly least_free_kb=2000000

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# Children are waited for in the background, because bash would otherwise act on a signal only after the
# child has ended by itself. A child that must not be cut off (apt) is waited for to its end.
child=
patient=
interrupted() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        [ -n "$patient" ] || kill -TERM "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    say "interrupted; run it again to go on"
    exit 130
}
trap interrupted INT TERM HUP

logged() {
    printf '\n$ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null &
    child=$!
    local answer=0
    wait "$child" || answer=$?
    child=
    return "$answer"
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

debian_packages() {
    local python=$1 needed=() wished=()
    if [ "$2" = --tests ]; then
        command -v pkcs11-tool >/dev/null || needed+=(opensc)
        command -v mutool >/dev/null || wished+=(mupdf-tools)
        command -v certutil >/dev/null || wished+=(libnss3-tools)
    fi
    [ -e /usr/lib/softhsm/libsofthsm2.so ] || needed+=(softhsm2)
    [ -x .venv/bin/python ] || "$python" -c 'import venv, ensurepip' 2>/dev/null || needed+=(python3-venv)
    command -v pdfsig >/dev/null || wished+=(poppler-utils)
    command -v qpdf >/dev/null || wished+=(qpdf)
    if [ ${#needed[@]} -eq 0 ] && [ ${#wished[@]} -eq 0 ]; then
        return
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if [ ${#needed[@]} -gt 0 ]; then
            needed+=("${wished[@]}")
            die "missing: ${needed[*]}; an administrator can install that with: apt-get install ${needed[*]}"
        fi
        say "not installed: ${wished[*]}; without them nobody but us checks the signed documents"
        return
    fi
    local all=("${needed[@]}" "${wished[@]}")
    command -v apt-get >/dev/null || die "missing: ${all[*]}, and there is no apt-get to install them with"
    say "installing Debian packages: ${all[*]}"
    patient=yes
    export DEBIAN_FRONTEND=noninteractive
    # In a session of its own, so that Ctrl-C does not leave a package half installed.
    logged setsid --wait apt-get -q update || true
    logged setsid --wait apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 install "${all[@]}" ||
        die "apt-get could not install ${all[*]} (no network?), see $log"
    patient=
}

# What pip is told in its own ways, said to uv in its own.
tell_uv_of_pip() {
    local value
    pip_setting() { .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true; }
    value=${PIP_INDEX_URL:-$(pip_setting index-url)}
    [ -z "$value" ] || export UV_DEFAULT_INDEX="$value"
    value=${PIP_EXTRA_INDEX_URL:-$(pip_setting extra-index-url)}
    [ -z "$value" ] || export UV_INDEX="$value"
    value=${PIP_FIND_LINKS:-$(pip_setting find-links)}
    [ -z "$value" ] || export UV_FIND_LINKS="$value"
    value=${PIP_CERT:-$(pip_setting cert)}
    [ -z "$value" ] || export SSL_CERT_FILE="$value"
    value=${PIP_DEFAULT_TIMEOUT:-}
    [ -z "$value" ] || export UV_HTTP_TIMEOUT="$value"
    export UV_NO_CONFIG=1 UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never
}

python_packages() {
    if logged .venv/bin/python -m pip install --quiet --retries 2 --no-deps --require-hashes -r infra/stack/uv.lock.txt; then
        tell_uv_of_pip
        logged .venv/bin/uv pip sync --compile-bytecode --require-hashes --python .venv/bin/python requirements.lock ||
            die "the Python packages could not be installed (no network, or one is not to be had), see $log"
    else
        say "uv is not to be had; pip does the same in two minutes"
        logged .venv/bin/python -m pip install --retries 2 --no-deps --require-hashes -r requirements.lock ||
            die "the Python packages could not be installed (no network, or one is not to be had), see $log"
    fi
}

# The command and the import path, without building a package: that would fetch what the lock does not hold.
own_command() {
    local site
    site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$PWD" >"$site/hoso.pth"
    printf '#!%s\nimport sys\n\nfrom flows.command import main\n\nsys.exit(main())\n' "$PWD/.venv/bin/python" >.venv/bin/hoso.new
    chmod 755 .venv/bin/hoso.new
    mv .venv/bin/hoso.new .venv/bin/hoso
}

# What the environment was made from and where: it must be made again when any of it changes.
made_from() {
    printf '%s\n%s\n' "$PWD" "$1"
    cat requirements.lock infra/stack/uv.lock.txt infra/stack/setup.sh | sha256sum
}

main() {
    [ -f requirements.lock ] || die "requirements.lock is missing: is this the whole project?"
    [ "$(uname -s)" = Linux ] || die "this is $(uname -s), and the servers of the stack are built for Linux"
    local python wanted
    python=$(find_python) || die "Python 3.11 or later is missing; \$PYTHON may name one"
    mkdir -p var
    exec 9>var/.setup-lock
    flock -n 9 || {
        say "waiting for another set-up of this folder"
        flock 9
    }
    debian_packages "$python" "${1:-}"
    wanted=$(made_from "$python")
    if [ -x .venv/bin/hoso ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    [ "$(df -Pk . | awk 'NR == 2 { print $4 }')" -ge "$least_free_kb" ] || die "less than 2 GB of disk are free at $PWD"
    : >"$log"
    rm -f "$stamp"
    # An environment that was moved, or broken off, or made by another Python, does not start as itself.
    if [ "$(.venv/bin/python -c 'import pip, sys; print(sys.prefix)' 2>/dev/null)" != "$PWD/.venv" ]; then
        say "making .venv with $python"
        rm -rf .venv
        logged "$python" -m venv .venv || die "the Python environment could not be made, see $log"
    fi
    say "installing Python packages from requirements.lock"
    python_packages
    own_command
    # Commands at the counter must not compile anything before they answer.
    logged .venv/bin/python -m compileall -q flows tasks infra || true
    printf '%s\n' "$wanted" >"$stamp"
    say "ready"
}

main "$@"
