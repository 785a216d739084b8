"""Whether a model can fit on an instance, with the arithmetic shown."""

import pytest

from modeldrop.artifact.findings import Findings
from modeldrop.artifact.fit import MIB, Need, check_fit, instances
from scripts import make_instances

GIB = 1024**3


def codes(instance_type: str, variables: int = 0, constants: int = 0, unpacked: int = 0) -> dict[str, str]:
    findings = Findings()
    check_fit(Need(variables, constants, 0, unpacked), instance_type, findings)
    return {check.code: check.what for check in findings.checks()}


def test_the_table_is_current() -> None:
    assert make_instances.FILE.read_text() == make_instances.text(make_instances.described())


def test_the_arithmetic_is_shown() -> None:
    told = codes("ml.g5.xlarge", variables=20 * GIB)["FIT_GPU"]
    assert told.startswith("GPU memory: variables 20.00 GiB + constants 0.00 GiB + context 1.50 GiB = 21.50 GiB")
    assert "one A10G of ml.g5.xlarge has 22.35 GiB, 80% of it is 17.88 GiB" in told


@pytest.mark.parametrize("instance_type", ["ml.g5.xlarge", "ml.g5.12xlarge"])
def test_only_one_gpu_counts(instance_type: str) -> None:
    assert "FIT_GPU" not in codes(instance_type, variables=10 * GIB)
    assert "FIT_GPU" in codes(instance_type, variables=17 * GIB)


def test_constants_count_as_variables_do() -> None:
    assert "FIT_GPU" in codes("ml.g5.xlarge", variables=10 * GIB, constants=7 * GIB)


def test_host_memory_and_disk_are_compared() -> None:
    assert set(codes("ml.c5.large", variables=3 * GIB)) == {"FIT_MEMORY"}
    assert set(codes("ml.c5.large", unpacked=31 * 10**9)) == {"FIT_OK", "FIT_VOLUME"}
    assert "FIT_DISK" in codes("ml.g5.xlarge", unpacked=251 * 10**9)
    assert set(codes("ml.c5.large")) == {"FIT_OK"}


def test_an_unknown_type_is_told() -> None:
    assert set(codes("ml.z99.large")) == {"FIT_UNKNOWN_TYPE"}


def test_the_default_type_is_known() -> None:
    assert (instances()["ml.g5.xlarge"].gpus, instances()["ml.g5.xlarge"].gpu_memory_mib * MIB) == (1, 22888 * MIB)
