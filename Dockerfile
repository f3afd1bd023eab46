# One image for both ends of a link: Debian 13's Python in a file system of only what runs.
# Names no architecture, and builds with BuildKit and with the classic builder.
FROM debian:trixie-slim AS build

RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*

# Where Debian's Python looks for modules by itself, so that "python3 -m ambassador" works in the image, too.
COPY requirements.lock /build/
RUN pip install --no-cache-dir --no-compile --only-binary :all: --require-hashes --root-user-action ignore \
        --target /image/usr/lib/python3/dist-packages --requirement /build/requirements.lock

# The interpreter and its library, without what a proxy never imports: what is interactive or for development, and
# extension modules that are tests or would bring a shared library along for nothing. Modules are kept compiled only:
# half the size, and nothing can be compiled where nothing can be written.
RUN set -eu; \
    python=$(readlink -f /usr/bin/python3); \
    library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))'); \
    cp --parents "$python" /image/; \
    ln -s "$(basename "$python")" /image/usr/bin/python3; \
    cp --parents --recursive "$library" /image/; \
    cd "/image$library"; \
    rm -rf _pyrepl config-* curses dbm ensurepip idlelib lib2to3 pydoc_data sqlite3 test tkinter turtle* unittest venv \
        antigravity.py doctest.py pdb.py pydoc.py sitecustomize.py this.py; \
    cd lib-dynload; \
    rm -f _bz2.* _codecs_* _ctypes_test.* _curses* _dbm.* _gdbm.* _lzma.* _multibytecodec.* _sqlite3.* _test* \
        _uuid.* _xx* readline.* xx*; \
    cd /image/usr/lib/python3/dist-packages; \
    rm -rf bin; \
    find . -type d -name tests -prune -exec rm -rf {} +; \
    find . -name '*.[ch]' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.pyx' -o -name '_testcapi.*' | xargs -r rm; \
    find . -name '*.so' -exec strip --strip-unneeded {} +; \
    find /image -type d -name __pycache__ -prune -exec rm -rf {} +; \
    python3 -m compileall -q -b -s /image /image/usr/lib; \
    find /image -name '*.py' -delete; \
    find /image -name '*.so' -o -path "/image$python" | xargs ldd \
      | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p' | sort -u | xargs cp --dereference --parents --target-directory /image; \
    mkdir /image/etc; \
    echo 'hosts: files dns' > /image/etc/nsswitch.conf; \
    echo 'ambassador:x:65532:' > /image/etc/group; \
    echo 'ambassador:x:65532:65532:ambassador:/:/nonexistent' > /image/etc/passwd; \
    printf '#!%s -I\nfrom ambassador.__main__ import main\n\nraise SystemExit(main())\n' "$python" > /image/usr/bin/ambassador; \
    chmod 755 /image/usr/bin/ambassador

# Its own source stays, for tracebacks. Running it once in its new root shows that nothing is missing.
COPY ambassador /image/usr/lib/python3/dist-packages/ambassador
RUN chroot /image /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash \
        /usr/lib/python3/dist-packages/ambassador \
 && chroot /image /usr/bin/python3 -I -c 'import aiohttp.web, click, prometheus_client, pydantic, ssl, structlog, uvloop' \
 && chroot /image /usr/bin/ambassador --version

FROM scratch
COPY --from=build /image /

ARG VERSION=dev
LABEL org.opencontainers.image.title="Ambassador" \
      org.opencontainers.image.description="A small TCP proxy that joins containers on different hosts" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"

ENV PATH=/usr/bin
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s --retries=2 CMD ["ambassador", "healthcheck"]
ENTRYPOINT ["ambassador"]
