"""What a model is given and must return: `forward(features, rows)` over packed samples, one logit a label."""

from dataclasses import dataclass

from torch import Tensor, nn

from gmeta_api.errors import ModelError


@dataclass(frozen=True)
class ModelInputs:
    """What a dataset offers a model.

    Attributes:
        numeric: names of the numeric columns, in the order of `Features.numeric`.
        features: names of the features with embedding rows, categorical then multi-valued, in the order of
            `FeatureRows.stacked`.
        dim: width of an embedding row.
        labels: names of the labels. With one, a model returns logits [n]; with L > 1, logits [n, L] in their order.
    """

    numeric: tuple[str, ...]
    features: tuple[str, ...]
    dim: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Features:
    """The part of the samples that has no embedding.

    Attributes:
        numeric: [n, D].
    """

    numeric: Tensor


@dataclass(frozen=True)
class FeatureRows:
    """The embedding rows of the samples; multi-valued features are mean-pooled, an empty list is zeros.

    Attributes:
        names: the F features.
        stacked: [n, F, dim].
    """

    names: tuple[str, ...]
    stacked: Tensor

    def __getitem__(self, name: str) -> Tensor:
        """The rows of one feature, [n, dim].

        Raises:
            ModelError: there is no such feature.
        """
        if name not in self.names:
            known = ", ".join(self.names) or "none"
            raise ModelError(f"the model asked for the rows of feature '{name}'; the dataset's features are {known}")
        return self.stacked[:, self.names.index(name)]


def inputs_of(model: nn.Module) -> ModelInputs:
    """The inputs that `build_model` has built this model for.

    Raises:
        ModelError: the model was not built by `build_model`.
    """
    inputs = getattr(model, "inputs", None)
    if not isinstance(inputs, ModelInputs):
        raise ModelError(f"{type(model).__name__}: expected a model built by build_model, which sets its 'inputs'")
    return inputs
