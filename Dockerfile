# The toolkit's own image, for use on one machine:
#   docker build -t aind-capsule .
#   docker run --rm aind-capsule run -- CMD
# Any Debian or Ubuntu image with Python 3.10 or later and its venv module serves as the base.
# Behind a proxy that opens TLS, put its certificates into environment/certs/ (*.crt or *.pem):
# the first stage trusts them beside the base image's own; the image does not keep them.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
COPY environment/certs/ /certs/
COPY environment/requirements.lock environment/build.lock /src/
# `awk 1` and not `cat`: a file without a last newline would run into the next certificate.
RUN set -e; \
    find /certs \( -name '*.crt' -o -name '*.pem' \) -exec awk 1 {} + > /extra-ca; \
    if [ -s /extra-ca ]; then \
        find /etc/ssl/certs -name ca-certificates.crt -exec awk 1 {} + >> /extra-ca; \
        export PIP_CERT=/extra-ca SSL_CERT_FILE=/extra-ca; \
    fi; \
    python3 -m venv /opt/aind-capsule; \
    python3 -m venv /opt/build; \
    /opt/aind-capsule/bin/pip install --no-cache-dir --require-hashes -r /src/requirements.lock; \
    /opt/build/bin/pip install --no-cache-dir --require-hashes -r /src/build.lock
COPY pyproject.toml README.md LICENSE /src/
COPY code/aind_capsule /src/code/aind_capsule
COPY capsule_template /src/capsule_template
# -I: the processing's PYTHON* variables do not reach the toolkit (a PYTHONPATH could replace its
# modules); the processing keeps them. pip goes: it is most of the environment's size.
RUN set -e; \
    cd /src; \
    /opt/build/bin/python -m hatchling build -t wheel -d /wheel; \
    /opt/aind-capsule/bin/pip install --no-cache-dir --no-index --no-deps /wheel/*.whl; \
    /opt/aind-capsule/bin/pip check; \
    sed -i '1s/$/ -I/' /opt/aind-capsule/bin/capsule; \
    /opt/aind-capsule/bin/python -m pip uninstall --quiet --yes pip setuptools

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="aind-capsule" \
      org.opencontainers.image.description="Run scientific processing with AIND-standard logs and one canonical record" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="https://github.com/AllenNeuralDynamics/aind-capsule" \
      org.opencontainers.image.documentation="https://github.com/AllenNeuralDynamics/aind-capsule/tree/main/docs"
COPY --from=build /opt/aind-capsule /opt/aind-capsule
# --non-unique: newer Ubuntu images come with a user of their own that has uid 1000.
RUN ln -s /opt/aind-capsule/bin/capsule /usr/local/bin/capsule \
    && useradd --non-unique --uid 1000 --create-home capsule \
    && install -d -o capsule -g capsule /code /data /results /scratch
USER capsule
WORKDIR /code
ENTRYPOINT ["/opt/aind-capsule/bin/capsule"]
CMD ["--help"]
