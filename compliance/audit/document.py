"""The answer of the API (contract §2), built from an entry; and what of it a caller may see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from compliance.audit.entry import Entry
from compliance.proof.note import b64

_SHADOW = {"id": "uji coba: dicatat, belum diberlakukan", "en": "trial: recorded, not yet in force"}


def build(entry: Entry, receipt: Mapping[str, str], origin: str, language: str = "id") -> dict[str, Any]:
    """A check's answer in one language ("id" or "en"), as JSON values."""
    body = entry.body
    decision, application = body["decision"], body["facts"]["application"]
    missing = outage(body)
    return ({"outage": missing} if missing else {}) | {
        "id": entry.id,
        "checked_at": body["at"],
        "reference": body["reference"],
        "region": application["region"],
        "permit_type": application["permit_type"],
        "as_at": application["as_at"],
        "backdated": body["backdated"],
        "verdict": decision["verdict"],
        "action": decision["action"],
        "enforced": decision["enforced"],
        "label": decision["label"][language],
        "summary": decision["summary"][language],
        "findings": [finding(one, language) for one in decision["findings"]],
        "cure": _cure(decision["cure"], language),
        "valid_until": decision["valid_until"],
        "retry_after": decision["retry_at"],
        "registry": _registry(body["facts"].get("evidence")),
        "policy": {**body["policy"], "stage": decision["stage"]},
        "receipt": dict(receipt),
        "log": {"origin": origin, "index": entry.position, "leaf_hash": b64(entry.leaf_hash)},
        "replaces": body.get("replaces"),
    }


def finding(finding: Mapping[str, Any], language: str = "id") -> dict[str, Any]:
    """One finding of a stored decision, as the answer shows it."""
    return {
        "code": finding["code"],
        "effect": finding["effect"],
        "message": finding["message"].get(language),
        "remedy": finding["remedy"].get(language),
        "facts": finding.get("facts", {}),
        "legal_basis": finding["basis"],
    }


def _cure(cure: Mapping[str, Any] | None, language: str) -> dict[str, Any] | None:
    if cure is None:
        return None
    return {"steps": cure["steps"].get(language, []), "recheck_after": cure["recheck_after"]}


def _registry(evidence: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    failed = "failure" in evidence
    return {
        "source": evidence["source"],
        "as_of": None if failed else evidence.get("as_of"),
        "reference": None if failed else evidence.get("reference"),
        "cached": evidence.get("cached", False),
        "stale": evidence.get("age_hours") is not None,
    }


def outage(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Since when the agency has not answered, and the latest tries: what the office may put in the file."""
    evidence = body["facts"].get("evidence") or {}
    failure = evidence.get("failure", {})
    if "since" not in failure:
        return None
    return {"source": evidence["source"], "since": failure["since"], "tries": failure["tries"]}


def claims(entry: Entry, origin: str) -> dict[str, Any]:
    """What the receipt's JWS states, an outage included: no name, NIB, NPWP or NIK."""
    body = entry.body
    decision, application = body["decision"], body["facts"]["application"]
    missing = outage(body)
    return ({"outage": missing} if missing else {}) | {
        "iss": origin,
        "jti": entry.id,
        "iat": int(entry.at.timestamp()),
        "code": body["receipt_code"],
        "reference": body["reference"],
        "region": application["region"],
        "permit_type": application["permit_type"],
        "as_at": application["as_at"],
        "verdict": decision["verdict"],
        "action": decision["action"],
        "enforced": decision["enforced"],
        "valid_until": decision["valid_until"],
        "index": entry.position,
        "leaf_hash": b64(entry.leaf_hash),
    }


def text(document: Mapping[str, Any]) -> str:
    """The document as it is kept and sent, byte for byte."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def masked(document: Mapping[str, Any], language: str = "id") -> dict[str, Any]:
    """What a key with only the scope `check` sees: in stage shadow no reasons, unless a sanction is enforced."""
    if document["policy"]["stage"] != "shadow" or document["enforced"]:
        return dict(document)
    return {**document, "findings": [], "cure": None, "summary": _SHADOW[language]}
