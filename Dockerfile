# Sluice in a container. The first stage makes an environment from the source, the second holds nothing but that.
#   docker build -t sluice . && docker run --read-only -e SLUICE_REDIS_URL=… -e SLUICE_POSTGRES_URL=… sluice

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY gateway gateway
COPY providers providers
# Sluice and all that it needs as wheels, then installed from these alone; the environment does not keep pip.
RUN python -m pip wheel --no-cache-dir --wheel-dir /wheels . \
 && python -m venv /opt/sluice \
 && /opt/sluice/bin/python -m pip install --no-cache-dir --no-index --find-links /wheels /wheels/sluice-*.whl \
 && /opt/sluice/bin/python -m pip uninstall --yes pip

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="SMS gateway: HTTP in, SMPP and HTTP carriers out, every message accounted for" \
      org.opencontainers.image.licenses="Apache-2.0"
# A user by number, so that orchestrators can see that it is not root; it owns two directories.
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sluice \
 && install --directory --mode=0700 --owner=10001 /var/lib/sluice /var/cache/sluice
COPY --from=build /opt/sluice /opt/sluice
# The file system may be read-only. A volume on /var/lib/sluice keeps, for containers with the role connector, what
# carriers answered and Redis does not know yet, over a kill of the container; without one nothing is written.
# One on /var/cache/sluice, which containers of a machine may share, holds numbering plans made ready; it may be lost.
# Secrets are files in /run/secrets, as compose mounts them.
ENV PATH=/opt/sluice/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CREDENTIALS_DIRECTORY=/run/secrets \
    SLUICE_LISTEN=0.0.0.0:8080 \
    SLUICE_METRICS_LISTEN=0.0.0.0:9100 \
    SLUICE_STATE_DIR=/var/lib/sluice \
    SLUICE_CACHE_DIR=/var/cache/sluice
USER 10001:10001
WORKDIR /
# The API; /metrics, /healthz and /readyz of processes without it.
EXPOSE 8080 9100
STOPSIGNAL SIGTERM
# The process lives. Whether it can do its work now is /readyz: a Redis that is away is no reason to end a container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["sluice", "health"]
ENTRYPOINT ["sluice"]
CMD ["run"]
