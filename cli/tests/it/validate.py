"""Checks reports in the working folder by the official schemas and their reference readers."""

import sys
import xml.etree.ElementTree as xml

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

with open("bom.cdx.json", encoding="utf-8") as file:
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read())
if fault:
    sys.exit(f"CycloneDX: {fault}")
print("valid CycloneDX 1.6")

faults = validate_full_spdx_document(parse_file("bom.spdx.json"))
if faults:
    sys.exit("\n".join(f"SPDX: {fault.validation_message}" for fault in faults))
print("valid SPDX 2.3")

suites = xml.parse("junit.xml").getroot()
cases = suites.findall("./testsuite/testcase/failure")
if suites.tag != "testsuites" or len(cases) != 2:
    sys.exit("JUnit: not two failures")
print("valid JUnit")
