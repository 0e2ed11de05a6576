"""From a run to production: a trained model as files that need none of this code, and adaptation to new tasks."""

from gmeta_worker.serving.adapt import Adaptation
from gmeta_worker.serving.export import write_export
from gmeta_worker.serving.manifest import ExportManifest, open_export
from gmeta_worker.serving.recipe import Recipe

__all__ = ["Adaptation", "ExportManifest", "Recipe", "open_export", "write_export"]
