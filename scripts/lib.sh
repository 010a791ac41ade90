# Shared by the scripts here, and read by them, not run: a virtual environment in .venv with this tree installed in it.
# It is built when something is missing in it or the sources of the extension have changed, and left alone otherwise.
#
# PYTHON (default python3) and CC (default gcc, else cc, else clang) choose the interpreter and the compiler.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
PYTHON=${PYTHON:-python3}

# All that a build needs and this machine lacks, in one line, with the Debian packages that have it.
require_tools() {
    local missing=() packages=() flags
    find_compiler
    if ! command -v "$PYTHON" >/dev/null; then
        missing+=("Python 3.10 or newer") packages+=(python3)
    elif ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        missing+=("Python 3.10 or newer ($PYTHON is older)") packages+=(python3)
    elif ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
        missing+=("Python's venv module") packages+=(python3-venv)
    fi
    if ! command -v "$CC" >/dev/null; then
        missing+=("a C compiler") packages+=(gcc)
    fi
    # Nothing is known of headers without a compiler that looks for them, so the package is named to be safe.
    if ! echo '#include <stdio.h>' | "$CC" -fsyntax-only -xc - >/dev/null 2>&1; then
        missing+=("C library headers (stdio.h)") packages+=(libc6-dev)
    fi
    flags=-I$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null || true)
    if ! echo '#include <Python.h>' | "$CC" "$flags" -fsyntax-only -xc - >/dev/null 2>&1; then
        missing+=("Python headers (Python.h)") packages+=(python3-dev)
    fi
    if ((${#missing[@]})); then
        local list
        printf -v list '%s, ' "${missing[@]}"
        echo "shmspace needs ${list%, }; on Debian: apt-get install ${packages[*]}" >&2
        return 1
    fi
}

find_compiler() {
    local name
    if [[ -z ${CC:-} ]]; then
        CC=gcc
        for name in gcc cc clang; do
            if command -v "$name" >/dev/null; then
                CC=$name
                break
            fi
        done
    fi
    export CC
}

# Changes whenever the extension must be built, or other packages be installed.
fingerprint() {
    (
        cd "$root"
        echo "$root" "$("$PYTHON" --version 2>&1)"
        find csrc shmspace/_native pyproject.toml scripts/build_backend.py -type f \
            \( -name '*.[ch]' -o -name '*.py' -o -name '*.toml' -o -name '*.json' \) ! -name '_core.c' -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum
    ) | sha256sum
}

# prepare EXTRAS: make .venv ready for work with the extras named (such as "cli,test") and this tree.
prepare() {
    extras=$1
    local stamp=$venv/shmspace-$extras now
    now=$(fingerprint)
    if "$venv/bin/python" -c '' 2>/dev/null && [[ -f $stamp && $(<"$stamp") == "$now" ]] && built; then
        return
    fi
    require_tools
    if [[ $("$venv/bin/python" -m pip --version 2>&1) != *"(python $("$PYTHON" -c \
        'import sys; print("%d.%d" % sys.version_info[:2])'))" ]]; then
        "$PYTHON" -m venv --clear "$venv"
    fi
    # Remove the old one: setuptools would keep it if only a header is newer. Who has it mapped keeps it all the same.
    rm -rf "$root/build" "$root"/shmspace/_native/_core.*
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$root[$extras]" >&2
    echo "$now" >"$stamp"
}

built() {
    compgen -G "$root/shmspace/_native/_core.*.so" >/dev/null
}
