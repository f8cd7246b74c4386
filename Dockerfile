# The toolkit's own image, for use on one machine:
#   docker build -t aind-capsule .
#   docker run --rm aind-capsule run -- CMD
# Any Debian or Ubuntu image with Python 3.10 or later and its venv module serves as the base.
# Behind a proxy that opens TLS, put its certificates into environment/certs/ (*.crt).
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
COPY environment/certs/ /certs/
COPY environment/requirements.lock environment/build.lock /src/
RUN set -e; \
    if ls /certs/*.crt >/dev/null 2>&1; then cat /certs/*.crt > /certs/all.pem; export PIP_CERT=/certs/all.pem; fi; \
    python3 -m venv /opt/aind-capsule; \
    python3 -m venv /opt/build; \
    /opt/aind-capsule/bin/pip install --no-cache-dir --require-hashes -r /src/requirements.lock; \
    /opt/build/bin/pip install --no-cache-dir --require-hashes -r /src/build.lock
COPY pyproject.toml README.md LICENSE /src/
COPY code/aind_capsule /src/code/aind_capsule
COPY capsule_template /src/capsule_template
RUN set -e; \
    cd /src; \
    PATH=/opt/build/bin:$PATH /opt/build/bin/python -m hatchling build -t wheel -d /wheel; \
    /opt/aind-capsule/bin/pip install --no-cache-dir --no-index --no-deps /wheel/*.whl; \
    /opt/aind-capsule/bin/pip uninstall --yes pip setuptools >/dev/null 2>&1 || true; \
    /opt/aind-capsule/bin/python -m compileall -q /opt/aind-capsule/lib || true

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="aind-capsule" \
      org.opencontainers.image.description="Run scientific processing with AIND-standard logs and one canonical record" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/aind-capsule /opt/aind-capsule
RUN ln -s /opt/aind-capsule/bin/capsule /usr/local/bin/capsule \
    && useradd --uid 1000 --create-home capsule \
    && install -d -o capsule -g capsule /code /data /results /scratch
USER capsule
WORKDIR /code
ENTRYPOINT ["capsule"]
CMD ["--help"]
