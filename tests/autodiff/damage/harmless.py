"""Damages that change nothing that is wrong to change, with the reason why."""

HARMLESS: dict[str, dict[str, str]] = {}
