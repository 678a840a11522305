"""The answer of the API (contract §2), built from an entry; and what of it a caller may see."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compliance.audit.entry import Entry
from compliance.proof.note import b64

_SHADOW = {"id": "uji coba: dicatat, belum diberlakukan", "en": "trial: recorded, not yet in force"}
_ASKED, _DECIDED = ("region", "permit_type", "as_at"), ("verdict", "action", "enforced")
_CLAIMED = ("reference", *_ASKED, *_DECIDED, "valid_until", "outage")


def build(entry: Entry, receipt: Mapping[str, str], origin: str, language: str = "id") -> dict[str, Any]:
    """A check's answer in one language ("id" or "en"), as JSON values."""
    body, evidence = entry.body, entry.body["facts"].get("evidence")
    decision, cure, missing = body["decision"], body["decision"]["cure"], outage(body)
    known = {} if evidence is None or "failure" in evidence else evidence
    return ({"outage": missing} if missing else {}) | {
        "id": entry.id,
        "checked_at": body["at"],
        "reference": body["reference"],
        **{name: body["facts"]["application"][name] for name in _ASKED},
        "backdated": body["backdated"],
        **{name: decision[name] for name in _DECIDED},
        **{name: decision[name][language] for name in ("label", "summary")},
        "findings": [finding(one, language) for one in decision["findings"]],
        "cure": cure and {"steps": cure["steps"].get(language, []), "recheck_after": cure["recheck_after"]},
        "valid_until": decision["valid_until"],
        "retry_after": decision["retry_at"],
        "registry": evidence
        and {
            "source": evidence["source"],
            **{name: known.get(name) for name in ("as_of", "reference")},
            "cached": evidence.get("cached", False),
            "stale": evidence.get("age_hours") is not None,
        },
        "policy": {**body["policy"], "stage": decision["stage"]},
        "receipt": dict(receipt),
        "log": {"origin": origin, "index": entry.position, "leaf_hash": b64(entry.leaf_hash)},
        "replaces": body.get("replaces"),
    }


def finding(finding: Mapping[str, Any], language: str = "id") -> dict[str, Any]:
    """One finding of a stored decision, as the answer shows it."""
    spoken = {name: finding[name].get(language) for name in ("message", "remedy")}
    shown = {"code": finding["code"], "effect": finding["effect"], **spoken}
    return shown | {"facts": finding.get("facts", {}), "legal_basis": finding["basis"]}


def outage(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Since when the agency has not answered, and the latest tries: what the office may put in the file."""
    evidence = body["facts"].get("evidence") or {}
    named = {name: value for name, value in evidence.get("failure", {}).items() if name in ("since", "tries")}
    return {"source": evidence["source"], **named} if "since" in named else None


def claims(document: Mapping[str, Any], code: str) -> dict[str, Any]:
    """What the receipt's JWS states, an outage included: no name, NIB, NPWP or NIK."""
    log, at = document["log"], datetime.fromisoformat(document["checked_at"])
    stated = {"iss": log["origin"], "jti": document["id"], "iat": int(at.timestamp()), "code": code}
    stated |= {name: document[name] for name in _CLAIMED if name in document}
    return stated | {"index": log["index"], "leaf_hash": log["leaf_hash"]}


def text(document: Mapping[str, Any]) -> str:
    """The document as it is kept and sent, byte for byte."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def masked(document: Mapping[str, Any], language: str = "id") -> dict[str, Any]:
    """What a key with only the scope `check` sees: in stage shadow no reasons, unless a sanction is enforced."""
    if document["policy"]["stage"] != "shadow" or document["enforced"]:
        return dict(document)
    return {**document, "findings": [], "cure": None, "summary": _SHADOW[language]}
