# The workflow and all that it needs, on CPU, as a user without rights (uid 10001; any other with group 0 works too):
#   docker build -t trim .
#   docker run --rm --user "$(id -u):0" -v "$PWD/results:/trim/results" trim            # the main table
#   docker run --rm trim trim solve "Start with 60, add 90, multiply by 41, add 4, subtract 8."
# For clusters with Apptainer, the image that `snakemake --software-deployment-method apptainer` runs jobs in:
#   apptainer build trim.sif docker-daemon:trim:latest
FROM python:3.11.14-slim-bookworm

RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*

WORKDIR /trim
COPY requirements.lock .
RUN pip install --no-cache-dir --requirement requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && useradd --uid 10001 --gid 0 --no-create-home trim && chgrp -R 0 /trim && chmod -R g=u /trim

ENV HOME=/tmp
USER 10001:0
CMD ["snakemake", "--cores", "all"]
