# The server alone: its stores and its secrets are given to it. docs/containers.md says how.
# 3.11 is the Python that most tests run on. A tag is moved when Debian mends something; to build the
# same image again, name it with its digest: PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS program
# requirements-tracing.txt holds all of requirements.txt, and what TRACING=on needs.
ARG REQUIREMENTS=requirements.txt
WORKDIR /app
COPY ${REQUIREMENTS} /requirements.txt
RUN python -m pip install --no-cache-dir --no-compile --no-deps --only-binary :all: \
        --disable-pip-version-check --root-user-action ignore --target packages -r /requirements.txt \
    && rm -rf packages/bin packages/PIL/_avif* packages/pillow.libs/libavif* \
    && find packages -type d \( -name tests -o -name test \) -prune -exec rm -rf {} + \
    && find packages -type f -regex '.*\.\(pyi\|pyx\|pxd\|pxi\|c\|h\)' -delete
COPY server.py app.py settings.py schema.sql LICENSE deploy/healthcheck.py ./
COPY commands commands
COPY embedded embedded
COPY handlers handlers
COPY store store
COPY telemetry telemetry
COPY openapi openapi
# The root file system may be read-only, so what Python compiles is there already: all that is ours
# or installed, and of Python's own library what the program imports.
ENV PYTHONPATH=/app/packages
RUN chmod -R a+rX,go-w . \
    && python -m compileall -q -j 0 . \
    && python -c 'import server, commands.workers'

FROM program AS system
# What installs things, what only documents them, and Perl: nothing here runs any of it. No program
# may change its user either (su, mount, passwd).
RUN groupadd --gid 10001 latchkey \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin latchkey \
    && find / -xdev -path '*/python3*' \( -name pip -o -name 'pip-*' -o -name ensurepip \
        -o -name setuptools -o -name 'setuptools-*' -o -name pkg_resources \
        -o -name _distutils_hack -o -name distutils-precedence.pth -o -name wheel \
        -o -name 'wheel-*' -o -name idlelib -o -name tkinter -o -name turtledemo -o -name lib2to3 \
        -o -name pydoc_data -o -name 'config-3*' \) -prune -exec rm -rf {} + \
    && rm -rf /requirements.txt /root/.cache /usr/include /usr/local/include \
        /usr/bin/pip* /usr/local/bin/pip* /usr/share/python-wheels \
        /usr/bin/apt* /usr/lib/apt /usr/lib/*/libapt-* /var/lib/apt \
        /usr/bin/perl* /usr/lib/*/perl-base /usr/share/perl5 \
        /usr/share/bash-completion /usr/share/doc /usr/share/info /usr/share/lintian \
        /usr/share/locale /usr/share/man /var/cache/* /var/log/* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +

# One layer: what was removed above is gone, and not only hidden.
FROM scratch
COPY --from=system / /
# gunicorn wants a place for its workers' signs of life; /dev/shm can be written where / can't.
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin \
    LANG=C.UTF-8 \
    PYTHONPATH=/app/packages \
    PYTHONDONTWRITEBYTECODE=1 \
    TMPDIR=/dev/shm \
    HOST=0.0.0.0 \
    PORT=8000 \
    WORKERS=1 \
    LOG_FORMAT=json
WORKDIR /app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Whether the process is up, not its stores: a store that is away must not have it killed.
HEALTHCHECK --interval=10s --timeout=3s --start-period=45s --retries=3 \
    CMD python -IS healthcheck.py "$HOST" "$PORT"
ENTRYPOINT ["python", "server.py"]
CMD ["serve"]
