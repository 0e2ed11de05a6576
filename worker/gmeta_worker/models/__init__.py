"""Models: the contract they keep, the built-in ones, and how a class of the user's own is loaded."""

from gmeta_worker.models.build import build_model
from gmeta_worker.models.contract import FeatureRows, Features, ModelInputs, inputs_of
from gmeta_worker.models.dlrm import DLRM

__all__ = ["DLRM", "FeatureRows", "Features", "ModelInputs", "build_model", "inputs_of"]
