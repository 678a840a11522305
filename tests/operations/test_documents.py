"""What the documents tell an administrator to install is at least what the tools that read it accept."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click import Group

from compliance import create_app
from config import HERE, Settings

DOCS = HERE / "docs"
UNITS = sorted((DOCS / "systemd").iterdir())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_units(unit: Path, tmp_path: Path) -> None:
    programs = tmp_path / "opt" / "gate" / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("gunicorn", "flask"):
        shutil.copy("/bin/true", programs / name)
    for each in UNITS:  # the programs are not in /opt on this machine
        (tmp_path / each.name).write_text(each.read_text().replace("=/opt", f"={tmp_path}/opt"))
    done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / unit.name)], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "gate" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    certificate = f"-keyout {tmp_path}/key.pem -out {tmp_path}/fullchain.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes {certificate} -days 2 -subj /CN=gate"
    subprocess.run(command.split(), check=True, capture_output=True)
    site = (DOCS / "nginx" / "gate.conf").read_text().replace("/etc/gate/tls", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(f"events{{}}\npid {tmp_path}/pid;\nhttp {{\n{site}\n}}\n")
    done = subprocess.run(["nginx", "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


COMMAND = re.compile(
    r"(?:^    (?:[A-Z_]+=\S+ +)?|&& |`)(?:gate|(?:\.venv/bin/)?flask(?: --app wsgi)?) ([a-z]+)(?: ([a-z-]+))?", re.M
)


def test_every_command_in_the_documents_exists(base_settings: Settings) -> None:
    commands = create_app(base_settings).cli.commands
    documents = (HERE / "README.md", *DOCS.glob("*.md"))
    named = {words for document in documents for words in COMMAND.findall(document.read_text(encoding="utf-8"))}
    assert len(named) > 12
    for first, second in sorted(named):
        assert first in commands, (first, second)
        if second and isinstance(group := commands[first], Group):
            assert second in group.commands, (first, second)


def test_alerts_name_metrics_that_exist() -> None:
    source = (HERE / "compliance" / "telemetry.py").read_text(encoding="utf-8")
    named = set(re.findall(r"\bgate_[a-z_]+", (DOCS / "alerts.yml").read_text(encoding="utf-8")))
    assert len(named) > 6
    for metric in named:
        assert f'"{re.sub("_(total|count|bucket)$", "", metric)}"' in source, metric
