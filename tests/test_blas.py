import numpy as np
from threadpoolctl import threadpool_info

from syncnas_deploy.blas import one_thread


def threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_linear_algebra_has_one_thread_within_and_what_it_had_after() -> None:
    np.linalg.inv(np.eye(3))
    before = threads()
    assert before, "numpy's BLAS is one that threadpoolctl knows"
    with one_thread():
        assert set(threads()) == {1}
    assert threads() == before
