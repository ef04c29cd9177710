"""The text form of units."""

import pytest

from syncnas_bench import Unit, UnitError


@pytest.mark.parametrize(
    ("text", "unit", "canonical"),
    [
        ("cpu:4", Unit("cpu", threads=4), "cpu:4"),
        ("cpu:1@0", Unit("cpu", threads=1, cores=(0,)), "cpu:1@0"),
        ("cpu:2@0-1", Unit("cpu", threads=2, cores=(0, 1)), "cpu:2@0,1"),
        ("cpu:2@0,1", Unit("cpu", threads=2, cores=(0, 1)), "cpu:2@0,1"),
        ("cpu:2:int8", Unit("cpu", threads=2, precision="int8"), "cpu:2:int8"),
        ("cpu:1@0:int8", Unit("cpu", threads=1, cores=(0,), precision="int8"), "cpu:1@0:int8"),
        ("cpu:1@0:split", Unit("cpu", threads=1, cores=(0,), split=True), "cpu:1@0:split"),
        ("cpu:2@0-1:int8:split", Unit("cpu", 2, (0, 1), "int8", split=True), "cpu:2@0,1:int8:split"),
        ("cpu:3@7,4-5", Unit("cpu", threads=3, cores=(4, 5, 7)), "cpu:3@4,5,7"),
        ("gpu", Unit("gpu"), "gpu"),
        ("gpu:fp32", Unit("gpu"), "gpu"),
        ("gpu:fp16", Unit("gpu", precision="fp16"), "gpu:fp16"),
        ("gpu:software", Unit("gpu", software=True), "gpu:software"),
        ("gpu:fp16:software", Unit("gpu", precision="fp16", software=True), "gpu:fp16:software"),
        ("sim:npu", Unit("sim", name="npu"), "sim:npu"),
    ],
)
def test_text_and_back(text: str, unit: Unit, canonical: str) -> None:
    assert Unit.parse(text) == unit
    assert str(unit) == canonical
    assert Unit.parse(str(unit)) == unit


@pytest.mark.parametrize(
    "text",
    ["", "cpu", "cpu:", "cpu:0", "cpu:65", "cpu:x", "cpu:1@", "cpu:1@1-", "cpu:1@2-1", "cpu:1@0-1-2",
     "cpu:1@2000", "cpu:-1", "cpu:1 ", "gpu:fp64", "gpu:software:fp16", "gpu:", "sim:", "sim:a b", "npu",
     "cpu:1:fp16", "cpu:1:split:int8", "cpu:1:int4", "gpu:int8", "gpu:split"],
)  # fmt: skip
def test_bad_text_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        Unit.parse(text)


def test_refusal_names_the_grammar() -> None:
    with pytest.raises(
        UnitError, match=r"cpu:THREADS@CORES.*\[:int8\]\[:split\].*gpu\[:fp32\|:fp16\]\[:software\].*sim:NAME"
    ):
        Unit.parse("tpu")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "npu"},
        {"kind": "cpu", "software": True},
        {"kind": "cpu", "precision": "fp16"},
        {"kind": "gpu", "precision": "int8"},
        {"kind": "gpu", "split": True},
        {"kind": "sim", "name": "a", "precision": "int8"},
        {"kind": "gpu", "cores": (1,)},
        {"kind": "cpu", "cores": (1, 0)},
        {"kind": "sim", "name": "a", "threads": 2},
        {"kind": "sim", "name": "a b"},
    ],
)
def test_bad_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(UnitError):
        Unit(**fields)  # type: ignore[arg-type]
