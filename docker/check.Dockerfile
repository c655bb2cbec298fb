# `./lab docker test`: the fast Python tests, which call the program, in an image and as its user. pip and what only tests
# use come on top of it, but for the browser.
ARG IMAGE=localhost/sharpseek:cpu
FROM ${IMAGE}
USER root
COPY requirements /requirements
RUN --mount=type=secret,id=certificates \
    if [ -s /run/secrets/certificates ]; then export PIP_CERT=/run/secrets/certificates; fi \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      hdf5-tools netcdf-bin python3-pip >/dev/null \
 && grep -hE '^(iniconfig|pluggy|Pygments|pytest)==' /requirements/python.txt >/tmp/test.txt \
 && pip --python "$SHARPSEEK_PYTHON" install --quiet --disable-pip-version-check --no-cache-dir --no-deps -r /tmp/test.txt \
      -r /requirements/tools.txt -r /requirements/streams.txt
COPY --chown=sharpseek:sharpseek . /source
WORKDIR /source
USER sharpseek
ENV SHARPSEEK_BINARY=/opt/sharpseek/bin/sharpseek OMP_NUM_THREADS=1
RUN python -m pytest -q -rs -p no:cacheprovider -m "not slow and not checkout" \
      --ignore analysis/tests/test_browser.py tests/python analysis/tests
