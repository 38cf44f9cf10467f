"""docs/attacks.md says what the tests declare, and the tests keep the corpus's rule of two layers."""

import pytest
from attacks.case import Case
from attacks.table import DOCUMENT, document, modules

# Where one layer is all there is, and why.
SINGLE = {
    "C007": "absence: nothing to be held by a second",
    "C009": "devices are absent; what is absent needs no second layer",
    "C067": "counters every user may read: only the mask holds them",
    "C063": "processes that are not in the namespace have no name to be refused by",
    "C126": "by design between processes of one sandbox; seccomp is all that is asked for",
    "C073": "it is itself a layer",
    "C072": "it is itself a layer",
    "C077": "the namespaces it could make are C076's",
    "C082": "keyrings have no namespace; the session keyring is the sandbox's own",
    "C083": "harmless to others",
}


def test_document_is_current():
    assert DOCUMENT.read_text() == document(), "run scripts/attack-table"


EVERY = [case for _, module in modules() for case in getattr(module, "CASES", [])]


@pytest.mark.parametrize(
    "case",
    [case for case in EVERY if "001" <= case.number[1:4] <= "030" or "063" <= case.number[1:4] <= "085"],
    ids=lambda case: case.number,
)
def test_two_layers(case: Case):
    assert len(case.layers) >= 2 or case.number[:4] in SINGLE, f"{case.number} is held by {list(case.layers)} only"
