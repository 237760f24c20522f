"""A secret in every configuration that the tests write, and the search for it in what is shown."""

import copy
import os

text = "S3CR3T-CANARY"
reference = "${env:WALRELAY_TEST_CANARY}"
os.environ["WALRELAY_TEST_CANARY"] = text  # of every process that the tests start


def plant(settings):
    """The sink map with the secret wherever one can stand and changes nothing that is tested."""
    planted = copy.deepcopy(settings)
    conninfo = planted["source"]["conninfo"]
    if "://" not in conninfo and "password=" not in conninfo:
        planted["source"]["conninfo"] = f"{conninfo} password={reference}"
    for sink in planted["sinks"].values():
        if "http" in sink:
            sink["http"]["headers"] = {**sink["http"].get("headers", {}), "x-canary": reference}
        if "kafka" in sink:
            properties = {"sasl.username": "somebody", "sasl.password": reference}
            sink["kafka"]["properties"] = {**properties, **sink["kafka"].get("properties", {})}
    return planted


def look_for(shown):
    """Asserts that the secret is in none of the texts or bytes: a dict of where each was shown."""
    where = [
        place
        for place, content in shown.items()
        if text in (content.decode("latin-1") if isinstance(content, bytes) else content)
    ]
    assert not where, f"a secret is shown: {', '.join(where)}"
