"""The steps of a run, in order of worth."""

from __future__ import annotations

from benchmarks.hardware_gpu import calls, crossings, networks, place, profiles
from benchmarks.hardware_gpu.session import Step

STEPS = (
    Step("place", "what is there", 0.05, place.sizes, place.look),
    Step("right", "the base on CPU and GPU, right?", 0.1, networks.right_sizes, networks.right),
    Step("speed", "CPU alone, GPU alone, both at once", 0.15, networks.speed_sizes, networks.speed_step("fp32")),
    Step("calls", "where a GPU call's time goes", 0.06, calls.sizes, calls.measure),
    Step("crossings", "crossings by bytes and direction", 0.06, crossings.sizes, crossings.measure),
    Step("profile", "profile in fp32", 0.3, profiles.profile_sizes, profiles.profile_step("fp32")),
    Step("prediction", "networks that the profile has not seen", 0.15, profiles.prediction_sizes, profiles.prediction),
    Step("overlap", "overlap", 0.1, profiles.overlap_sizes, profiles.overlap),
    Step("speed_fp16", "the same in fp16", 0.1, networks.speed_sizes, networks.speed_step("fp16")),
    Step("profile_fp16", "profile in fp16", 0.3, profiles.profile_sizes, profiles.profile_step("fp16")),
)
"""A prediction is compared with networks measured right after its profile; so fp16 comes last."""
