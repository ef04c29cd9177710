"""The names of `syncnas_deploy` for type checkers: the same as in `__init__.py`, where they are imported late."""

from types import ModuleType

from syncnas_deploy.benchmarking.result import BenchResult as BenchResult
from syncnas_deploy.benchmarking.trust import trust as trust
from syncnas_deploy.benchmarking.trust import verdict_of as verdict_of
from syncnas_deploy.bundle import Bundle as Bundle
from syncnas_deploy.errors import Error as Error
from syncnas_deploy.errors import SyncNasError as SyncNasError
from syncnas_deploy.networks.config import ModelConfig as ModelConfig
from syncnas_deploy.pipeline import Assessment as Assessment
from syncnas_deploy.pipeline import AssessSettings as AssessSettings
from syncnas_deploy.pipeline import Found as Found
from syncnas_deploy.pipeline import FoundNetwork as FoundNetwork
from syncnas_deploy.pipeline import as_bundle as as_bundle
from syncnas_deploy.pipeline import as_config as as_config
from syncnas_deploy.pipeline import as_profile as as_profile
from syncnas_deploy.pipeline import assess as assess
from syncnas_deploy.pipeline import bench as bench
from syncnas_deploy.pipeline import branched as branched
from syncnas_deploy.pipeline import check_profile as check_profile
from syncnas_deploy.pipeline import convert_weights as convert_weights
from syncnas_deploy.pipeline import device as device
from syncnas_deploy.pipeline import devices as devices
from syncnas_deploy.pipeline import draw as draw
from syncnas_deploy.pipeline import evaluate as evaluate
from syncnas_deploy.pipeline import export as export
from syncnas_deploy.pipeline import inherit_weights as inherit_weights
from syncnas_deploy.pipeline import models as models
from syncnas_deploy.pipeline import predict as predict
from syncnas_deploy.pipeline import profile as profile
from syncnas_deploy.pipeline import profile_many as profile_many
from syncnas_deploy.pipeline import search as search
from syncnas_deploy.pipeline import train as train
from syncnas_deploy.pipeline import variant as variant
from syncnas_deploy.prediction.predict import Prediction as Prediction
from syncnas_deploy.prediction.profile import DeviceProfile as DeviceProfile
from syncnas_deploy.profiling.experiment import ProfileSettings as ProfileSettings
from syncnas_deploy.progress import Progress as Progress
from syncnas_deploy.report.drawing.svg import Drawing as Drawing
from syncnas_deploy.search.loop import SearchSettings as SearchSettings
from syncnas_deploy.training.recipe import Recipe as Recipe
from syncnas_deploy.verdict import Verdict as Verdict

__version__: str

class CallableRoom(ModuleType): ...
