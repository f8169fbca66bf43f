"""Damages that do no harm, with the reason why: as "rule or function: what is damaged", with *."""

HARMLESS: dict[str, str] = {}
