# The service and its workers: one image, two commands. The wheel is built here and installed as any user would install it.
# Extras are chosen at build time: docker compose build --build-arg EXTRAS=service,postgresql,graph,tabular
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE CHANGELOG.md constraints.txt ./
COPY tcs_hpt ./tcs_hpt
COPY tasks ./tasks
COPY prompts ./prompts
COPY benchmarks ./benchmarks
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}
ARG EXTRAS=service,postgresql,ga,cmaes
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/tcs-hpt/bin:$PATH

RUN groupadd --gid 10001 tcs && useradd --uid 10001 --gid tcs --create-home tcs \
    && mkdir -p /data /tasks && chown tcs:tcs /data /tasks

COPY constraints.txt /opt/constraints.txt
COPY --from=wheel /wheels /opt/wheels
RUN python -m venv /opt/tcs-hpt \
    && wheel="$(ls /opt/wheels/*.whl)" \
    && pip install --no-cache-dir --constraint /opt/constraints.txt "${wheel}[${EXTRAS}]"

USER 10001:10001
WORKDIR /data
# Folders of trials, models that were fetched and data sets lie in the volume, for the service and the workers alike.
ENV XDG_DATA_HOME=/data \
    XDG_CACHE_HOME=/data/cache \
    TCS_HPT_DATA_DIR=/data/sets
VOLUME /data
EXPOSE 8765
ENTRYPOINT ["tcs-hpt"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8765", "--no-worker", "--tasks-dir", "/tasks"]
