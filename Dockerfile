# The service and `lifecycle score` in an image: docs/operations.md. It holds no data and no key.
# At run time it needs no network, no root, and nothing to write but LIFECYCLE_HOME and /tmp.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN python -m venv /opt/lifecycle
COPY requirements-serve.txt ./
RUN /opt/lifecycle/bin/pip install --no-deps -r requirements-serve.txt
COPY pyproject.toml README.md ./
COPY features ./features
COPY lifecycle ./lifecycle
COPY serving ./serving
COPY training ./training
RUN /opt/lifecycle/bin/pip install --no-deps . && /opt/lifecycle/bin/pip check

FROM python:3.11-slim-bookworm
# The number, and not only the name, so that `runAsNonRoot` of Kubernetes can check it.
RUN groupadd --gid 10001 lifecycle \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin lifecycle \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/lifecycle
COPY --from=build /opt/lifecycle /opt/lifecycle
ENV PATH=/opt/lifecycle/bin:$PATH \
    LIFECYCLE_HOME=/var/lib/lifecycle \
    BENTOML_HOME=/tmp/bentoml \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/lifecycle
USER 10001:10001
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:3000/readyz', timeout=4)"]
ENTRYPOINT ["lifecycle"]
CMD ["serve", "--host", "0.0.0.0"]
