from __future__ import annotations

import getpass
import json
import platform

from ibisagent.machine import machine_facts


def test_facts_say_what_it_ran_on_but_not_whose_it_is():
    facts = machine_facts()
    text = json.dumps(facts)

    assert set(facts) == {"system", "processor", "cores", "gpu", "python", "torch"}
    assert facts["cores"] >= 1
    assert facts["processor"]
    assert platform.node() not in text
    assert f"/{getpass.getuser()}" not in text
