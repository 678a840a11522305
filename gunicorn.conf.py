"""gunicorn's settings: threads for callers who wait for the agency, and no control socket shared between instances."""

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import tempfile

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WORKERS", "2"))
preload_app = True  # a worker is a fork: it cannot fail to import, and it serves within milliseconds
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


def _log(app):
    return getattr(app, "extensions", {}).get("compliance") and app.extensions["compliance"].log


def on_starting(server):
    """Before the port, the first worker and READY to systemd: what must not start ends here, in one line. No connection
    is shared with workers."""
    from compliance.errors import Misconfigured

    app = server.app.wsgi()
    if log := _log(app):
        with app.app_context():
            try:
                log.check_start()
            except Misconfigured as error:
                server.log.error("%s", error)
                on_exit(server)  # gunicorn does not call it for what never ran
                sys.exit(3)
            finally:
                log.engine.dispose()


def post_fork(server, worker):
    """A worker whose master is killed ends as if told to: an orphan that goes on would hold the port for 30 seconds."""
    with contextlib.suppress(OSError, AttributeError):  # Linux alone knows how to ask for this
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def post_worker_init(worker):
    """Each worker opens the log before its first answer: the key, the login, heads known outside, tables caught up.

    gunicorn ends altogether when a worker ends here, so one that is born while the database or a file is away must not:
    it answers 503 until they are back.
    """
    from compliance.errors import Misconfigured

    if log := _log(worker.wsgi):
        with worker.wsgi.app_context(), contextlib.suppress(Misconfigured):
            log.check_start()


def worker_exit(server, worker):
    """What was answered in the last second is remembered too: a database that lost it does not start again."""
    if log := _log(worker.wsgi):
        log.remember_now()
