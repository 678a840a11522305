"""Settings: the only reader of the environment (contract §5)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compliance.errors import Misconfigured

HERE = Path(__file__).resolve().parent
INSTANCE = HERE / "instance"
SOURCES = ("http", "snapshot", "http,snapshot", "sandbox")
AUTHS = ("none", "apikey", "oauth2", "hmac", "splp")


@dataclass(frozen=True, slots=True)
class Settings:
    """All that may differ between deployments. Times are seconds. `demo` is set by `make run` alone."""

    database_url: str = f"sqlite:///{INSTANCE / 'gate.db'}"
    database_admin_url: str = ""
    secret_key: str = field(default="", repr=False)
    log_origin: str = "gate.example/log"
    log_signing_key: Path = INSTANCE / "log.key"
    log_witnesses: Path | None = None
    public_url: str = "http://127.0.0.1:8000"
    region: str = ""
    policy_dir: Path | None = None
    registry: str = "http"
    registry_url: str = ""
    registry_auth: str = "none"
    registry_credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    registry_profile: Path | None = None
    registry_timeout: float = 8.0
    registry_cache_ttl: int = 0
    registry_sentinels: Mapping[str, str] = field(default_factory=dict)  # region → NIB of a surely registered employer
    rate_limit: int = 600
    batch_rate: float = 10.0  # questions a second that all batches together may ask
    oss_url: str = ""  # where receiveLicenseStatus is; empty: OSS is told nothing
    oss_user_key: str = field(default="", repr=False)
    oss_kd_instansi: str = ""  # the office's code there
    metrics_token: str = field(default="", repr=False)
    metrics_folder: Path | None = None  # where the workers' counters meet; gunicorn.conf.py makes it
    trusted_proxies: int = 0
    allowed_hosts: tuple[str, ...] = ()
    log_level: str = "INFO"
    demo: bool = False

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises Misconfigured with one line that names the variable and the remedy."""
        return _read(os.environ if env is None else env)


def _read(env: Mapping[str, str]) -> Settings:
    plain = Settings()
    demo = env.get("DEMO", "") == "1"
    settings = Settings(
        database_url=env.get("DATABASE_URL") or plain.database_url,
        database_admin_url=env.get("DATABASE_ADMIN_URL", ""),
        secret_key=_secret(env, "SECRET_KEY"),
        log_origin=env.get("LOG_ORIGIN") or plain.log_origin,
        log_signing_key=Path(env.get("LOG_SIGNING_KEY") or plain.log_signing_key),
        log_witnesses=_path(env, "LOG_WITNESSES"),
        public_url=(env.get("PUBLIC_URL") or plain.public_url).rstrip("/"),
        region=env.get("REGION", ""),
        policy_dir=_path(env, "POLICY_DIR"),
        registry=_one_of(env, "REGISTRY", SOURCES, plain.registry),
        registry_url=env.get("REGISTRY_URL", "").rstrip("/"),
        registry_auth=_one_of(env, "REGISTRY_AUTH", AUTHS, plain.registry_auth),
        registry_credentials=_credentials(env),
        registry_profile=_path(env, "REGISTRY_PROFILE"),
        registry_timeout=_number(env, "REGISTRY_TIMEOUT", plain.registry_timeout, 0.1, 60),
        registry_cache_ttl=int(_number(env, "REGISTRY_CACHE_TTL", plain.registry_cache_ttl, 0, 7 * 86400)),
        registry_sentinels=_pairs(env, "REGISTRY_SENTINELS"),
        rate_limit=int(_number(env, "RATE_LIMIT", plain.rate_limit, 1, 10_000_000)),
        batch_rate=_number(env, "BATCH_RATE", plain.batch_rate, 0.01, 10_000),
        oss_url=env.get("OSS_URL", "").rstrip("/"),
        oss_user_key=_secret(env, "OSS_USER_KEY"),
        oss_kd_instansi=env.get("OSS_KD_INSTANSI", ""),
        metrics_token=_secret(env, "METRICS_TOKEN"),
        metrics_folder=_path(env, "PROMETHEUS_MULTIPROC_DIR"),
        trusted_proxies=int(_number(env, "TRUSTED_PROXIES", 0, 0, 10)),
        allowed_hosts=tuple(host.strip() for host in env.get("ALLOWED_HOSTS", "").split(",") if host.strip()),
        log_level=_one_of(env, "LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), plain.log_level),
        demo=demo,
    )
    if len(settings.secret_key) < 16:
        raise Misconfigured("SECRET_KEY is missing or shorter than 16 characters; set it to a long random text")
    if "http" in settings.registry and not settings.registry_url:
        raise Misconfigured(f"REGISTRY={settings.registry} needs REGISTRY_URL, the agency's base address")
    return settings


def _secret(env: Mapping[str, str], name: str) -> str:
    """A secret from NAME, or from the file that NAME_FILE names."""
    path = env.get(f"{name}_FILE")
    if not path:
        return env.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Misconfigured(f"{name}_FILE: {path} cannot be read ({error.strerror})") from error


def _credentials(env: Mapping[str, str]) -> dict[str, str]:
    """Every REGISTRY_AUTH_x (or REGISTRY_AUTH_x_FILE) as x in lower case; registry/http says which are needed."""
    prefix = "REGISTRY_AUTH_"
    names = {name.removesuffix("_FILE") for name in env if name.startswith(prefix)}
    return {name.removeprefix(prefix).lower(): _secret(env, name) for name in sorted(names)}


def _pairs(env: Mapping[str, str], name: str) -> dict[str, str]:
    """`73.09=8120001234567,73.08=…` as a mapping."""
    pairs = [part.strip().partition("=") for part in env.get(name, "").split(",") if part.strip()]
    if any(not region or not value for region, _, value in pairs):
        raise Misconfigured(f"{name} must read like 73.09=8120001234567,73.08=8120007654321")
    return {region.strip(): value.strip() for region, _, value in pairs}


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]) if env.get(name) else None


def _one_of(env: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = env.get(name) or default
    if value not in allowed:
        raise Misconfigured(f"{name}={value} is not known; it must be one of {', '.join(allowed)}")
    return value


def _number(env: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError as error:
        raise Misconfigured(f"{name}={text} is not a number") from error
    if not least <= value <= most:
        raise Misconfigured(f"{name}={text} must be between {least:g} and {most:g}")
    return value
