# The service in a container, under a user without rights. Built and run by hand: the tests of this
# project do not use it.
FROM python:3.12-slim
RUN useradd --create-home --uid 10001 bonafide
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir '.[server,postgres]' && rm -rf /src/*
USER 10001:10001
WORKDIR /home/bonafide
ENV BONAFIDE_SPOOL=/home/bonafide/spool
RUN mkdir -m 700 spool
VOLUME /home/bonafide/spool
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/live')"]
CMD ["bonafide", "serve", "--host", "0.0.0.0", "--workers", "0"]
