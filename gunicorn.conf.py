"""gunicorn's settings: threads for callers who wait for the agency, and no control socket shared between instances."""

import os
import shutil
import sys
import tempfile

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WORKERS", "2"))
worker_class = "gthread"
threads = int(os.environ.get("THREADS", "128"))
backlog = 512
timeout = 60
graceful_timeout = 30
keepalive = 5
limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 4094
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "warning")
# Counters of all workers meet in this folder: empty at each start, before the application is imported.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="gate-metrics-")


def on_exit(server):
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def post_worker_init(worker):
    """Each worker opens the log before its first answer: the key, the login, heads known outside, tables caught up."""
    from compliance.errors import Misconfigured

    running = getattr(worker.wsgi, "extensions", {}).get("compliance")
    if running is None:
        return
    with worker.wsgi.app_context():
        try:
            running.log.check_start()
        except Misconfigured as error:
            worker.log.error("%s", error)
            sys.exit(3)  # gunicorn ends, instead of trying again
