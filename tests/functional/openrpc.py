#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks an OpenRPC document against the meta-schema. Usage: openrpc.py META-SCHEMA DOCUMENT"""

import json
import sys

from jsonschema import Draft7Validator, RefResolver

SCHEMA_URI = "https://meta.json-schema.tools"


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    meta, document = load(sys.argv[1]), load(sys.argv[2])
    draft7 = json.loads(json.dumps(Draft7Validator.META_SCHEMA))
    reference = draft7["properties"]["$ref"]
    draft7["definitions"]["JSONSchemaObject"] = {"properties": {"$ref": reference}}
    # inside of it, "#" stays the draft's own
    draft7["$id"] = SCHEMA_URI
    store = {SCHEMA_URI: draft7, SCHEMA_URI + "/": draft7, meta["$id"]: meta}
    validator = Draft7Validator(meta, resolver=RefResolver(meta["$id"], meta, store=store))
    errors = list(validator.iter_errors(document))
    for error in errors:
        print("/" + "/".join(str(part) for part in error.absolute_path) + ": " + error.message[:300])
    names = [method["name"] for method in document["methods"] if "name" in method]
    if len(names) != len(set(names)):
        print("/methods: a name stands there twice")
        return 1
    return 1 if errors else 0


sys.exit(main())
