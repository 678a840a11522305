"""The closed word lists of the law: scales, programmes, effects, verdicts, stages; what a call is about."""

from __future__ import annotations

from enum import StrEnum


class Scale(StrEnum):
    MICRO = "micro"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Programme(StrEnum):
    JKK = "JKK"
    JKM = "JKM"
    JHT = "JHT"
    JP = "JP"
    JKP = "JKP"


class Effect(StrEnum):
    """What one finding does to the verdict; in the contract's order, worst first."""

    BLOCKED = "BLOCKED"
    UNDETERMINED = "UNDETERMINED"
    NOT_MET = "NOT_MET"
    OFFICER_REVIEW = "OFFICER_REVIEW"
    NOT_REQUIRED = "NOT_REQUIRED"
    NOTE = "NOTE"
    OK = "OK"


class Verdict(StrEnum):
    MET = "MET"
    MET_WITH_NOTE = "MET_WITH_NOTE"
    NOT_REQUIRED = "NOT_REQUIRED"
    NOT_MET = "NOT_MET"
    BLOCKED = "BLOCKED"
    OFFICER_REVIEW = "OFFICER_REVIEW"
    UNDETERMINED = "UNDETERMINED"


class Action(StrEnum):
    PROCEED = "PROCEED"
    STOP = "STOP"
    HOLD = "HOLD"


class RuleStage(StrEnum):
    """How far a region's rule for a permit type is switched on."""

    OFF = "off"
    SHADOW = "shadow"
    ADVISE = "advise"
    ENFORCE = "enforce"


class Certainty(StrEnum):
    TEXT = "text"
    REPORTED = "reported"
    UNVERIFIED = "unverified"
    EXAMPLE = "example"


class Subject(StrEnum):
    EMPLOYER = "employer"
    PARTICIPANT = "participant"
    PROJECT = "project"


class Match(StrEnum):
    """Whose record it is."""

    AGREES = "agrees"
    UNRESOLVED = "unresolved"
    NPP_OF_ANOTHER = "npp_of_another"
