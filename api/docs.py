"""A page of the API made from its OpenAPI document: no script, no style sheet from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{background:#f4f4f4;padding:.1em .3em}pre{overflow:auto;padding:.6em}"
    "summary{cursor:pointer;padding:.3em 0}b{display:inline-block;min-width:4.5rem}"
)


def render_docs(document: dict[str, Any]) -> str:
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Provedor API</title><style>{_STYLE}</style><h1>Provedor API</h1>",
        "<p>Send <code>Authorization: Bearer TOKEN</code>.</p>",
        "<p>The machine's copy: <a href='/api/openapi.json'>openapi.json</a>.</p>",
    ]
    group = ""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", [""])[0]
            if tag != group:
                parts.append(f"<h2>{escape(tag)}</h2>")
                group = tag
            parts.append(_operation(method, path, operation, document))
    return "".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = body.get("$ref", "").rpartition("/")[2]
    schema = document["components"]["schemas"].get(name, {}).get("properties", {})
    shown = f"<pre>{escape(json.dumps(schema, indent=1))}</pre>" if schema else ""
    about = escape(operation.get("description", operation.get("summary", "")))
    head = f"<b>{method.upper()}</b> <code>{escape(path)}</code>"
    return f"<details><summary>{head}</summary><p>{about}</p>{shown}</details>"
