"""What a host sees: cold start, memory of a worker, a steady 200 checks a second, and how long a page takes."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import requests

from bench.checks import flask, load, prepared
from bench.servers import databases, gunicorn
from compliance.demo import CHECK

STARTS, RATE, SECONDS, LOOKS = 3, 200, 10, 60
PAGES = ("/masuk", "/periksa", "/riwayat", "{result}", "/tindak-lanjut", "/r/{code}", "/syarat?izin=PBG&skala=large")


def main() -> None:
    """Prints a few lines per database; each stands beside a bare Flask application on the same gunicorn."""
    print(
        f"\nServing: median of {STARTS} starts; {RATE} checks due a second for {SECONDS} s; {LOOKS} looks at each page"
    )
    with databases() as urls:
        for name, url in urls.items():
            with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
                env, key = prepared(url, Path(folder))
                env["REGISTRY_URL"] = ""
                _starts(name, env)
                accounts = json.loads(flask(env, "demo-accounts"))["accounts"]
                with gunicorn("wsgi:app", env) as port, gunicorn("bench.bare:create_bare()", env) as bare:
                    _steady(name, key, port, bare)
                    _memory(name, port)
                    _pages(name, port, bare, next(one for one in accounts if one["role"] == "clerk"))


def _starts(name: str, env: dict[str, str]) -> None:
    took: dict[str, list[float]] = {"wsgi:app": [], "bench.bare:create_bare()": []}
    for _ in range(STARTS):
        for target, times in took.items():
            begun = time.perf_counter()
            with gunicorn(target, env) as port:
                while not requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code < 500:
                    time.sleep(0.01)
                times.append(time.perf_counter() - begun)
    gate, plain = (median(times) for times in took.values())
    print(f"{name}: cold start to the first answer {gate:.2f} s; bare {plain:.2f} s, {gate / plain:.1f} times")


def _steady(name: str, key: str, port: int, bare: int) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    bodies = [json.dumps(CHECK | {"reference": "B/{n}/2026"})]
    told = []
    for place, path in ((port, "/api/v1/checks"), (bare, "/rows")):
        load(place, path, headers, bodies, 2)
        got = load(place, path, headers, bodies, SECONDS, rate=RATE, callers=64)
        told.append(f"p50 {got['p50']} ms, p99 {got['p99']} ms ({got['rate']:.0f}/s, {got['bad']} bad)")
    print(f"{name}: at {RATE} checks/s {told[0]}; bare row {told[1]}")


def _memory(name: str, port: int) -> None:
    """Of each worker after the load: its share of what is in memory (PSS), and what is its own."""
    found = subprocess.run(["pgrep", "-f", "gunicorn.*gunicorn.conf.py wsgi:app"], capture_output=True, text=True)
    told = []
    for pid in map(int, found.stdout.split()):
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        if f"BIND=127.0.0.1:{port}".encode() in environ:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            sizes = {
                word: int(size) // 1024 for word, size in re.findall(r"(?m)^(Pss|Private_Dirty):\s+(\d+) kB", lines)
            }
            told.append(f"{sizes['Pss']} MB ({sizes['Private_Dirty']} its own)")
    print(f"{name}: memory of the master and each worker after that load: {', '.join(told)}")


def _pages(name: str, port: int, bare: int, clerk: dict[str, str]) -> None:
    base, visit = f"http://127.0.0.1:{port}", requests.Session()

    def send(path: str, **typed: str) -> requests.Response:
        page = visit.get(base + path, timeout=30).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]  # type: ignore[index]
        return visit.post(base + path, data=typed | {"csrf_token": token}, timeout=30)

    send("/masuk", sign_in=clerk["name"], password=clerk["password"])
    form = {"permit_type": "RESTORAN", "region": "73.09", "reference": "B/1", "stage": "new", "step": "check"}
    form |= {"business.name": "CV Sumber Rejeki", "business.nib": "8120001234567", "business.scale": "small"}
    result = send("/periksa", **form, **{"workforce.employs_workers": "yes", "workforce.declared": "12"})
    code = re.search(r'class="code">([^<]+)<', result.text)[1]  # type: ignore[index]
    plain = _looks(f"http://127.0.0.1:{bare}/page", requests.Session())
    told = []
    for page in PAGES:
        path = page.format(result=result.url.removeprefix(base), code=code)
        times = _looks(base + path, visit)
        told.append(f"{re.split('[?]', page)[0]} {median(times):.1f}")
        if page == PAGES[1]:
            ratio = median(times) / median(plain)
    print(
        f"{name}: pages, median ms: {', '.join(told)}; the bare page {median(plain):.1f}"
        f" (p95 of the last {quantiles(times, n=20)[-1]:.1f}; the form is {ratio:.1f} times the bare page)"
    )


def _looks(url: str, visit: requests.Session) -> list[float]:
    times = []
    for _ in range(LOOKS):
        begun = time.perf_counter()
        answer = visit.get(url, timeout=30)
        times.append(1000 * (time.perf_counter() - begun))
        assert answer.status_code == 200, (url, answer.status_code)
    return times


if __name__ == "__main__":
    main()
