# One image for every process: watcher, worker, Flower and, for trying out, both simulators.
# BASE is any image with Python 3.11 or later as python3, with its venv module.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python3 -m venv /opt/ako
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY watcher watcher
COPY workers workers
COPY simulator simulator
COPY cli cli
# The extra holds Flower and what the simulators need; build with EXTRAS= for an image of watcher and worker alone.
ARG EXTRAS=[dev-server]
RUN /opt/ako/bin/python -m pip install ".${EXTRAS}"

FROM ${BASE}
ENV PATH=/opt/ako/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 AKO_LOG_FORMAT=json
COPY --from=build /opt/ako /opt/ako
# Where the simulated controller leaves its certificate: a new volume takes its owner from here.
RUN mkdir -p /run/avi && chown 10001:10001 /run/avi
# A number, so that Kubernetes can see that it is not root; nothing below needs an account or a home.
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
# Of watcher and worker; whoever runs something else from this image says how to ask it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["ako"]
CMD ["--help"]
