"""YAML out of plain values, for the few shapes our files have. Strings are JSON strings, which YAML reads as such; one
with quotes or line ends in it becomes a literal block, so that it can be read and copied."""

import json


def yaml(value, depth=0):
    """Lines of a mapping or list."""
    pad = "  " * depth
    if isinstance(value, dict):
        return "".join(f"{pad}{key}:{under(item, depth)}" for key, item in value.items())
    lines = []
    for item in value:
        if isinstance(item, (dict, list)) and item:
            text = yaml(item, depth + 1)
            lines.append(f"{pad}- {text[len(pad) + 2:]}")
        else:
            lines.append(f"{pad}-{under(item, depth)}")
    return "".join(lines)


def under(value, depth):
    """What follows a colon or a dash."""
    if isinstance(value, (dict, list)) and value:
        return "\n" + yaml(value, depth + 1)
    if isinstance(value, str) and ('"' in value or "\n" in value):
        pad = "  " * (depth + 1)
        return " |-\n" + "".join(f"{pad}{line}\n" for line in value.splitlines())
    return " " + json.dumps(value, ensure_ascii=False) + "\n"
