FROM python:3.11-slim-bookworm AS build
WORKDIR /app
RUN python -m venv /venv
COPY lock/runtime.txt lock/runtime.txt
RUN /venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r lock/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY aaa aaa
COPY provisioning provisioning
COPY billing_hooks billing_hooks
COPY api api
COPY provedor provedor
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home provedor \
 && mkdir /data /keys && chown provedor: /data /keys && chmod 700 /data /keys
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PROVEDOR_DATA=/data
USER provedor
VOLUME ["/data", "/keys"]
EXPOSE 8000/tcp 1812/udp 1813/udp
HEALTHCHECK --interval=10s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
ENTRYPOINT ["provedor"]
CMD ["up"]
