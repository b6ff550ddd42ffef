# The server without its stores and secrets, which it gets at run time: see docs/containers.md.
# Debian's fixes move this tag. To build on the same base image each time, add the digest to it:
# --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# requirements-tracing.txt contains all of requirements.txt, and what TRACING=on needs.
ARG REQUIREMENTS=requirements.txt
COPY ${REQUIREMENTS} /requirements.txt
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
        -r /requirements.txt
WORKDIR /app
COPY server.py app.py options.py settings.py setting_sources.py setting_types.py schema.sql LICENSE deploy/healthcheck.py ./
COPY commands commands
COPY embedded embedded
COPY handlers handlers
COPY mail mail
COPY store store
COPY telemetry telemetry
COPY webhooks webhooks
COPY openapi openapi
COPY ui ui
# Every user can read the program, whatever the checkout's permissions are. It is compiled here,
# because it cannot be where it runs: the user owns no file, and the file system may be read-only.
RUN chmod -R a+rX,go-w . && python -m compileall -q .

FROM ${PYTHON_IMAGE}
# A user without privileges. No program of the base image changes its user (su, mount, passwd).
RUN groupadd --gid 10001 latchkey \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin latchkey \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
# gunicorn's workers write heartbeat files; /dev/shm is writable even if / is not.
ENV PATH=/opt/venv/bin:$PATH \
    LANG=C.UTF-8 \
    TMPDIR=/dev/shm \
    HOST=0.0.0.0 \
    PORT=8000 \
    WORKERS=1 \
    LOG_FORMAT=json
# Compiles what the server imports of Python's own library, which official images ship as source.
RUN python -c 'import server, app'
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Checks the process and not its stores: an outage of a store must not restart every server.
HEALTHCHECK --interval=10s --timeout=3s --start-period=45s --retries=3 \
    CMD python -IS healthcheck.py "$HOST" "$PORT"
ENTRYPOINT ["python", "server.py"]
CMD ["serve"]
