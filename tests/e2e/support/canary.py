"""A secret in every configuration that the tests write, and the search for it in what is shown."""

import base64
import copy
import os

text = "S3CR3T-CANARY"
reference = "${env:WALRELAY_TEST_CANARY}"
signing = "whsec_" + base64.b64encode(f"{text:.<32}".encode()).decode()
signing_reference = "${env:WALRELAY_TEST_SIGNING}"
# Of every process that the tests start.
os.environ.update(WALRELAY_TEST_CANARY=text, WALRELAY_TEST_SIGNING=signing)


def _in_base64(after):
    """What base64 makes of the secret behind so many other bytes, whatever these are."""
    coded = base64.b64encode(bytes(after) + text.encode()).decode()
    return coded[-(-after * 8 // 6) : (after + len(text)) * 8 // 6]


# As it is, and as base64, bytea and the like have it: of a signing secret that is the very form in
# which it stands in a file.
forms = (text, *map(_in_base64, range(3)), text.encode().hex())


def plant(settings):
    """The sink map with the secret wherever one can stand and changes nothing that is tested.

    A test whose endpoint must get no signature says `signing: None`.
    """
    planted = copy.deepcopy(settings)
    conninfo = planted["source"]["conninfo"]
    if "://" not in conninfo and "password=" not in conninfo:
        planted["source"]["conninfo"] = f"{conninfo} password={reference}"
    for sink in planted["sinks"].values():
        if "http" in sink:
            sink["http"]["headers"] = {**sink["http"].get("headers", {}), "x-canary": reference}
            if not sink["http"].setdefault("signing", signing_reference):
                del sink["http"]["signing"]
        if "kafka" in sink:
            properties = {"sasl.username": "somebody", "sasl.password": reference}
            sink["kafka"]["properties"] = {**properties, **sink["kafka"].get("properties", {})}
    return planted


def look_for(shown):
    """Asserts that the secret is in none of the texts or bytes: a dict of where each was shown."""
    where = [place for place, content in shown.items() if is_in(content)]
    assert not where, f"a secret is shown: {', '.join(where)}"


def is_in(content):
    """Whether a text, or bytes, hold the secret in any of its forms."""
    content = content.decode("latin-1") if isinstance(content, bytes) else content
    return any(form in content for form in forms)
