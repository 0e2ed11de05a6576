"""DLRM: shapes, formula and parameter count."""

from itertools import pairwise

import pytest
import torch

from gmeta_api.errors import ModelError
from gmeta_api.spec import ModelSpec
from gmeta_worker.models import DLRM, FeatureRows, Features, ModelInputs


def inputs_for(numeric: int, features: int, dim: int = 4) -> ModelInputs:
    return ModelInputs(tuple(f"n{i}" for i in range(numeric)), tuple(f"f{i}" for i in range(features)), dim, ("click",))


@pytest.mark.parametrize(("numeric", "features"), [(3, 2), (0, 3), (2, 0), (1, 1)])
def test_parameters_follow_the_formula(numeric: int, features: int) -> None:
    model = DLRM(ModelSpec(bottom=[8, 6], top=[7]), inputs_for(numeric, features))
    vectors = features + (numeric > 0)
    bottom = [numeric, 8, 6, 4] if numeric else []
    top = [vectors * (vectors - 1) // 2 + (4 if numeric else 0), 7, 1]
    count = sum((a + 1) * b for sizes in (bottom, top) for a, b in pairwise(sizes))
    assert sum(p.numel() for p in model.parameters()) == count


def test_output_is_the_top_of_bottom_and_all_pairwise_dots() -> None:
    model = DLRM(ModelSpec(bottom=[], top=[]), inputs_for(3, 2))
    numeric, stacked = torch.randn(5, 3), torch.randn(5, 2, 4)
    assert model.bottom is not None
    bottom = torch.relu(model.bottom[0](numeric))
    first, second = stacked[:, 0], stacked[:, 1]
    dots = torch.stack([(bottom * first).sum(1), (bottom * second).sum(1), (first * second).sum(1)], 1)
    expected = model.top[0](torch.cat([bottom, dots], 1))[:, 0]
    torch.testing.assert_close(model(Features(numeric), FeatureRows(("f0", "f1"), stacked)), expected)


def test_layer_names_are_what_adapt_patterns_match() -> None:
    names = {
        name.rpartition(".")[0] for name, _ in DLRM(ModelSpec(bottom=[8], top=[8]), inputs_for(1, 2)).named_parameters()
    }
    assert names == {"bottom.0", "bottom.1", "top.0", "top.1"}


@pytest.mark.parametrize("features", [0, 1])
def test_nothing_to_interact_is_refused(features: int) -> None:
    with pytest.raises(ModelError) as error:
        DLRM(ModelSpec(bottom=[], top=[]), inputs_for(0, features))
    assert str(error.value) == (
        f"DLRM: expected at least two features, or a numeric column, received {features} features and no "
        "numeric column; add features to the dataset or use a model class of your own"
    )


def test_rows_of_a_feature_go_by_name() -> None:
    stacked = torch.randn(5, 2, 4)
    rows = FeatureRows(("movie", "genre"), stacked)
    assert torch.equal(rows["genre"], stacked[:, 1])
    with pytest.raises(ModelError) as error:
        rows["genres"]
    assert str(error.value) == (
        "the model asked for the rows of feature 'genres'; the dataset's features are movie, genre"
    )
