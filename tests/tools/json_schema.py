"""Check JSON values against a schema, with the few keywords of draft 2020-12 that our schemas use."""

import re

TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}

RULES = {
    "type": lambda value, name: TYPES[name](value),
    "const": lambda value, only: value == only and type(value) is type(only),
    "enum": lambda value, choices: value in choices,
    "pattern": lambda value, pattern: not isinstance(value, str) or re.search(pattern, value),
    "minLength": lambda value, least: not isinstance(value, str) or len(value) >= least,
    "minItems": lambda value, least: not isinstance(value, list) or len(value) >= least,
    "maxItems": lambda value, most: not isinstance(value, list) or len(value) <= most,
    "minimum": lambda value, least: not TYPES["number"](value) or value >= least,
    "maximum": lambda value, most: not TYPES["number"](value) or value <= most,
    "multipleOf": lambda value, unit: not TYPES["number"](value) or value % unit == 0,
    "required": lambda value, names: not isinstance(value, dict) or set(names) <= set(value),
}
NESTED = {"properties", "additionalProperties", "items", "anyOf", "$ref"}
IGNORED = {"$schema", "$defs", "title"}


def faults(value, schema, root=None, place="$"):
    """The places at which a value breaks its schema, each with the keyword that it breaks."""
    root = root or schema
    unknown = set(schema) - set(RULES) - NESTED - IGNORED
    assert not unknown, f"{place}: the schema uses {unknown}"
    found = [f"{place}: {keyword}" for keyword, rule in RULES.items()
             if keyword in schema and not rule(value, schema[keyword])]
    if "$ref" in schema:
        found += faults(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, place)
    if "anyOf" in schema and all(faults(value, choice, root, place) for choice in schema["anyOf"]):
        found.append(f"{place}: anyOf")
    if isinstance(value, list) and "items" in schema:
        for k, item in enumerate(value):
            found += faults(item, schema["items"], root, f"{place}[{k}]")
    if isinstance(value, dict):
        for name, item in value.items():
            rest = schema.get("additionalProperties", True)
            if name in schema.get("properties", {}):
                found += faults(item, schema["properties"][name], root, f"{place}.{name}")
            elif rest is False:
                found.append(f"{place}.{name}: additionalProperties")
            elif rest is not True:
                found += faults(item, rest, root, f"{place}.{name}")
    return found
