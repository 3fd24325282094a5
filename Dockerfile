# Trains, and serves what has won:  docker build . -t pegboard && docker run -p 5000:5000 pegboard
#
# A build whose data fail their validation, or whose winner does not pass the gate of the environment `image`, fails.
# What was trained, and what it needs, comes out of the stage `trained` (--target trained --output DIRECTORY):
# image/build.sh takes it into the registry before the image is made. docs/deploy.md tells more.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS base
# Packages of the system that models' libraries want, to train and to serve: LightGBM and XGBoost need libgomp1.
ARG PACKAGES=""
# hadolint ignore=DL3008,SC2086
RUN if [ -n "${PACKAGES}" ]; then \
        apt-get update -q && apt-get install -y -q --no-install-recommends ${PACKAGES} && rm -rf /var/lib/apt/lists/*; \
    fi

FROM base AS installed
ENV GX_ANALYTICS_ENABLED=false PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /experiment
COPY setup.cfg pyproject.toml README.md LICENSE constraints.txt ./
COPY framework framework
COPY app app
COPY plugins plugins
# Directories of plugins, or names from a package index.
ARG PLUGINS="./plugins/pegboard-sklearn ./plugins/pegboard-house-prices"
# hadolint ignore=SC2086
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/train && \
    /opt/train/bin/pip wheel --quiet --no-deps --wheel-dir /wheels . ./app ${PLUGINS} && \
    /opt/train/bin/pip install --quiet --constraint constraints.txt /wheels/*.whl 'pegboard[train,parquet]'
ENV PATH=/opt/train/bin:${PATH}

FROM installed AS train
COPY . .
ENV PEGBOARD_REGISTRY=/registry
ARG EXPERIMENT=pegboard.toml
ARG GATE=image
RUN pegboard train --config "${EXPERIMENT}" && \
    pegboard models list --json > /tmp/models.json && \
    NAME=$(python -c 'import json; print(json.load(open("/tmp/models.json"))[0]["name"])') && \
    pegboard models promote "${NAME}" --to "${GATE}" --dry-run --config "${EXPERIMENT}" && \
    mkdir /trained && \
    pegboard models export "${NAME}" /trained/bundle && \
    pegboard models requirements "${NAME}" > /tmp/requirements.txt && \
    sed '/^#/d' /tmp/requirements.txt > /trained/requirements.txt

# What the bundle needs, in the versions of the training run, and the server. Only the requirements come from the training,
# so a model that needs what the one before needed shares this layer with it, and a machine pulls kilobytes.
FROM installed AS environment
COPY --from=train /trained/requirements.txt /requirements.txt
ARG EXTRAS=s3,signing
# What no package index has is taken from the wheels, and never asked for elsewhere. No library imports its own tests;
# without them the environment is a third smaller.
# hadolint ignore=SC2046,DL3013
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv && \
    pip --python /opt/venv install --quiet --no-index --no-deps --find-links /wheels pegboard-serve \
        $(sed -n 's/ *# from .*//p' /requirements.txt) && \
    pip --python /opt/venv install --quiet --constraint constraints.txt --requirement /requirements.txt \
        pegboard-serve "pegboard[${EXTRAS}]" && \
    pip --python /opt/venv check && \
    find /opt/venv -depth -type d -name tests -exec rm -rf {} +
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/sbom && \
    /opt/sbom/bin/pip install --quiet cyclonedx-bom==7.3.0 && \
    /opt/sbom/bin/cyclonedx-py environment --output-file /sbom.json /opt/venv

FROM scratch AS trained
COPY --from=train /trained /
COPY --from=environment /sbom.json /

FROM base AS serve
# The official image leaves Python's own library uncompiled, and nothing can be written when it runs.
RUN python -m compileall -q -x 'site-packages|dist-packages|/tests?/' \
        "$(python -c 'import os; print(os.path.dirname(os.__file__))')" && \
    useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pegboard && \
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=environment /opt/venv /opt/venv
# The number that the registry gave the bundle; 0 for one that it does not know.
ARG VERSION=0
COPY --from=train /trained/bundle /opt/pegboard/bundle/${VERSION}
# Nothing is written but below /tmp, so the root file system may be read-only.
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PEGBOARD_CACHE=/tmp/pegboard \
    PEGBOARD_MODEL=bundle:/opt/pegboard/bundle/${VERSION} \
    PEGBOARD_SERVE_HOST=0.0.0.0
WORKDIR /tmp
USER 10001:10001
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-m", "pegboard_serve.health"]
ENTRYPOINT ["pegboard"]
CMD ["serve"]
