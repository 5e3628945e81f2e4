"""Write lifecycle/client.py, the typed client of the service, from its OpenAPI schema.

python scripts/generate_client.py writes it; with --check it fails where the file is stale. Equal
schemas give equal bytes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from serving.api.openapi import openapi  # noqa: E402  # after the path of the checkout

FILE = ROOT / "lifecycle" / "client.py"
MOST_COLUMNS = 100
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
HEAD = '''"""A typed client of the service: the standard library alone, so the file can be copied.

Written by scripts/generate_client.py from the OpenAPI schema (/openapi.json). Do not edit.

    client = Client("http://127.0.0.1:3000", key)
    answer = client.score({"customer_ids": ["00042"]})

Entries have further columns: the curve, the value and the targets of the business.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Literal, NotRequired, TypedDict, cast
'''
CLIENT = '''class ServiceError(Exception):
    """A refusal: its HTTP status, what the service says, and seconds until it may be tried again.

    `refusal` has where, rule and do, and errors where entries have some; empty where another
    program answered.
    """

    def __init__(self, status: int, refusal: dict[str, Any], retry_after: int | None) -> None:
        super().__init__(f"{status} {refusal.get('where', '')}: {refusal.get('rule', '')}")
        self.status, self.refusal, self.retry_after = status, refusal, retry_after


class Client:
    """The service at `address`, asked with a key. Errors: ServiceError; OSError without answer."""

    def __init__(self, address: str, key: str, *, timeout: float = 60) -> None:
        self._address, self._key, self._timeout = address.rstrip("/"), key, timeout

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._address}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise _service_error(error) from None
'''
TAIL = """def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _service_error(error: urllib.error.HTTPError) -> ServiceError:
    try:
        refusal = json.load(error)
    except ValueError:
        refusal = {}
    seconds = error.headers.get("Retry-After", "")
    retry_after = int(seconds) if seconds.isdigit() else None
    return ServiceError(error.code, refusal if isinstance(refusal, dict) else {}, retry_after)
"""


class Types:
    """The TypedDicts of a schema, in the order in which they can be read."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self.schemas, self.written = schemas, {}

    def write(self, name: str, schema: Mapping[str, Any]) -> str:
        """Write the type of an object under a name; its name."""
        if name not in self.written:
            self.written[name] = ""  # its place, also where it names itself
            lines = [f"class {name}(TypedDict):", f'    """{_sentence(name, schema)}"""', ""]
            for field, each in schema["properties"].items():
                kind = self.annotation(each, f"{name}{_title(field)}")
                if field not in schema.get("required", ()):
                    kind = f"NotRequired[{kind}]"
                lines.append(_wrapped(f"    {field}: {kind}"))
            self.written[name] = "\n".join(lines)
        return name

    def annotation(self, schema: Mapping[str, Any], name: str) -> str:
        """The annotation of a schema; an object without a name of its own gets `name`."""
        if "$ref" in schema:
            target = schema["$ref"].rsplit("/", 1)[1]
            return self.write(target, self.schemas[target])
        if "enum" in schema or "const" in schema:
            return _literal(schema.get("enum", [schema.get("const")]))
        if "anyOf" in schema:
            kinds = [self.annotation(each, name) for each in schema["anyOf"]]
            return " | ".join(dict.fromkeys(kinds))
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return " | ".join(self._kind(kind, schema, name) for kind in kinds)

    def _kind(self, kind: str, schema: Mapping[str, Any], name: str) -> str:
        if kind == "array":
            return f"list[{self.annotation(schema['items'], name.removesuffix('s'))}]"
        if kind != "object":
            return SCALARS[kind]
        if "properties" in schema:
            return self.write(name, schema)
        further = schema.get("additionalProperties")
        return f"dict[str, {self.annotation(further, name) if further else 'Any'}]"


def _wrapped(line: str) -> str:
    """A field's line as the formatter writes it: what is too long has its values in brackets."""
    if len(line) <= MOST_COLUMNS or not line.endswith("]"):
        return line
    start, _, values = line.partition("[")
    return f"{start}[\n        {values[:-1]}\n    ]"


def _title(field: str) -> str:
    return "".join(part.capitalize() for part in field.split("_"))


def _sentence(name: str, schema: Mapping[str, Any]) -> str:
    """The first sentence of the schema's description, on one line."""
    text = " ".join(str(schema.get("description", "")).split()) or f"{name} of the service"
    first = re.split(r"(?<=\.) ", text)[0].rstrip(".")
    return f"{first[:1].upper()}{first[1:]}."


def _literal(values: list[Any]) -> str:
    texts = [f'"{value}"' for value in values if value is not None]
    return f"Literal[{', '.join(texts)}]" + (" | None" if None in values else "")


def _methods(paths: Mapping[str, Any], types: Types) -> Iterator[str]:
    """A method of the client for each operation, named by its path."""
    for path, operations in paths.items():
        for operation in operations.values():
            content = operation["responses"]["200"].get("content")
            schema = _schema_of(content) if content else {"type": "object"}
            result = types.annotation(schema, "Answer")
            yield _method(path, operation, result, types)


def _method(path: str, operation: Mapping[str, Any], result: str, types: Types) -> str:
    parts = path.strip("/").split("/")
    name = parts[-1] if "{" not in parts[-1] else parts[-2].removesuffix("s")
    sent, argument = f'"{path}"', ""
    if "requestBody" in operation:
        kind = types.annotation(_schema_of(operation["requestBody"]["content"]), "Body")
        sent, argument = f'"{path}", request', f", request: {kind}"
    elif "parameters" in operation:
        parameter = operation["parameters"][0]["name"]
        start = path[: path.index("{")]
        sent, argument = f'f"{start}{{quote({parameter})}}"', f", {parameter}: str"
        sent = sent.replace("{quote(", "{_quoted(")
    return (
        f"    def {name}(self{argument}) -> {result}:\n"
        f'        """{operation["summary"]}."""\n'
        f'        return cast("{result}", self._ask({sent}))\n'
    )


def _schema_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = content["application/json"]["schema"]
    return schema


def client_text() -> str:
    """The text of the client for the schema of this checkout."""
    schema = openapi()
    types = Types(schema["components"]["schemas"])
    methods = list(_methods(schema["paths"], types))
    client = "\n".join([CLIENT, *methods]).rstrip()
    return "\n\n\n".join([HEAD.rstrip(), *types.written.values(), client, TAIL.rstrip()]) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with --check compare; 1 where it is stale."""
    text = client_text()
    if "--check" not in arguments:
        FILE.write_text(text, encoding="utf-8")
        return 0
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{FILE.relative_to(ROOT)} is stale: python scripts/generate_client.py")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
