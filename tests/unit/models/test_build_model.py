"""build_model: seeded parameters, classes of the user's own, and a message for each way to break the contract."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from gmeta_api.errors import ModelError
from gmeta_api.exit_codes import ExitCode
from gmeta_api.spec import MetaSpec, ModelSpec
from gmeta_worker.layers import AdaptiveLayer
from gmeta_worker.meta import build_algorithm
from gmeta_worker.models import ModelInputs, build_model, inputs_of

INPUTS = ModelInputs(("age",), ("movie", "user"), 4, ("click",))

CLASSES = """
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.layer = nn.Linear(inputs.dim, 1)

    def forward(self, features, rows):
        return self.layer(rows["movie"]).squeeze(1)

class TakesWidth(Base):
    def __init__(self, inputs, width: int):
        super().__init__(inputs)

class Raises(Base):
    def forward(self, features, rows):
        raise RuntimeError("no such thing")

class UnknownFeature(Base):
    def forward(self, features, rows):
        return rows["film"].sum(1)

class NoParameters(nn.Module):
    def __init__(self, inputs):
        super().__init__()

class Normed(Base):
    def __init__(self, inputs):
        super().__init__(inputs)
        self.norm = nn.BatchNorm1d(inputs.dim)

class Dropped(Base):
    def __init__(self, inputs):
        super().__init__(inputs)
        self.drop = nn.Sequential(nn.Dropout(0.5))

class TwoColumns(Base):
    def forward(self, features, rows):
        return self.layer(rows["movie"])

class Tuple(Base):
    def forward(self, features, rows):
        return (super().forward(features, rows),)

class Integers(Base):
    def forward(self, features, rows):
        return super().forward(features, rows).long()

class Mixes(Base):
    def forward(self, features, rows):
        logits = super().forward(features, rows)
        return logits - logits.mean()

class LayerNormed(Base):
    def __init__(self, inputs):
        super().__init__(inputs)
        self.norm = nn.LayerNorm(inputs.dim)

NOT_A_CLASS = 3

class NotAModule:
    pass
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "user_models.py").write_text(CLASSES)
    (tmp_path / "broken_import.py").write_text("import a_library_that_is_missing")
    (tmp_path / "broken_code.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "examples")
    yield
    for name in ("user_models", "broken_import", "broken_code", "custom_model"):
        sys.modules.pop(name, None)


def build(type_name: str, **args: object) -> nn.Module:
    return build_model(ModelSpec(type=type_name, args=args), INPUTS, seed=0)


@pytest.mark.parametrize(
    ("type_name", "message"),
    [
        (
            "no_such_module:Model",
            "spec.model.type: no module named 'no_such_module' (from 'no_such_module:Model'); put it on PYTHONPATH",
        ),
        (
            "user_models.deeper:Model",
            "spec.model.type: no module named 'user_models.deeper' (from 'user_models.deeper:Model'); put it "
            "on PYTHONPATH",
        ),
        (
            "broken_import:Model",
            "spec.model.type: importing 'broken_import:Model' raised ModuleNotFoundError: No module named "
            "'a_library_that_is_missing'",
        ),
        (
            "broken_code:Model",
            "spec.model.type: importing 'broken_code:Model' raised ZeroDivisionError: division by zero",
        ),
        (
            "user_models:Missing",
            "spec.model.type: module 'user_models' has no attribute 'Missing' (from 'user_models:Missing')",
        ),
        (
            "user_models:NOT_A_CLASS",
            "spec.model.type: expected 'user_models:NOT_A_CLASS' to be a class, received an object of type int",
        ),
        (
            "user_models:NotAModule",
            "spec.model.type: expected 'user_models:NotAModule' to be a subclass of torch.nn.Module, received class "
            "NotAModule",
        ),
        (
            "user_models:Raises",
            "user_models:Raises: forward raised RuntimeError on a dry run: no such thing",
        ),
        (
            "user_models:UnknownFeature",
            "the model asked for the rows of feature 'film'; the dataset's features are movie, user",
        ),
        (
            "user_models:NoParameters",
            "user_models:NoParameters: the model has no parameters, so there is nothing to train",
        ),
        (
            "user_models:Normed",
            "user_models:Normed: layer 'norm' is a BatchNorm1d, whose statistics mix the samples of different tasks "
            "and of support and query; use LayerNorm",
        ),
        (
            "user_models:Dropped",
            "user_models:Dropped: layer 'drop.0' is a Dropout, whose mask is not seeded by task, so a run could not be "
            "repeated on another number of workers; use gmeta_worker.layers.Dropout",
        ),
        (
            "user_models:TwoColumns",
            "user_models:TwoColumns: forward must return one floating-point logit a sample, shape [2], received shape "
            "[2, 1] of torch.float32; squeeze the last dimension",
        ),
        (
            "user_models:Tuple",
            "user_models:Tuple: forward must return a tensor of logits, received a tuple",
        ),
        (
            "user_models:Integers",
            "user_models:Integers: forward must return one floating-point logit a sample, shape [2], received shape "
            "[2] of torch.int64",
        ),
    ],
)
def test_a_broken_class_is_refused_with_the_reason(type_name: str, message: str) -> None:
    with pytest.raises(ModelError) as error:
        build(type_name)
    assert str(error.value) == message
    assert error.value.exit_code == ExitCode.MODEL


def test_args_of_a_built_in_model_are_refused() -> None:
    with pytest.raises(ModelError) as error:
        build_model(ModelSpec(args={"width": 3}), INPUTS, seed=0)
    assert str(error.value) == (
        "spec.model.args: DLRM takes none, received width; use the other fields of spec.model, or a class of your own"
    )


def test_rejected_args_show_the_call_and_the_signature() -> None:
    with pytest.raises(ModelError) as error:
        build("user_models:TakesWidth", with_=8)
    assert str(error.value) == (
        "spec.model.args: user_models:TakesWidth was called as TakesWidth(inputs, with_=8) and raised TypeError: "
        "TakesWidth.__init__() got an unexpected keyword argument 'with_'; its signature is "
        "TakesWidth(inputs, width: int)"
    )


def test_a_model_that_mixes_samples_is_refused() -> None:
    with pytest.raises(
        ModelError,
        match=r"^user_models:Mixes: the output for a sample changed when another sample joined it "
        r"\(0, then -?0\.\d+\); a model must treat samples one by one and draw no random numbers, because the "
        "samples of many tasks pass through it together$",
    ):
        build("user_models:Mixes")


def test_a_class_must_have_an_output_for_every_label() -> None:
    inputs = replace(INPUTS, labels=("click", "order", "like"))
    with pytest.raises(ModelError) as error:
        build_model(ModelSpec(type="user_models:Base"), inputs, seed=0)
    assert str(error.value) == (
        "user_models:Base: forward must return one floating-point logit a sample for each of the labels click, order, "
        "like, shape [2, 3], received shape [2] of torch.float32"
    )


def test_layer_norm_is_welcome() -> None:
    assert isinstance(build("user_models:LayerNormed"), nn.Module)


def test_parameters_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = build_model(ModelSpec(), INPUTS, seed=5)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    again, other = build_model(ModelSpec(), INPUTS, seed=5), build_model(ModelSpec(), INPUTS, seed=6)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.get_parameter("top.0.weight"), other.get_parameter("top.0.weight"))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "building a model must not advance the global generator"


def test_a_model_knows_its_inputs() -> None:
    assert inputs_of(build("user_models:Base")) is INPUTS
    with pytest.raises(ModelError) as error:
        inputs_of(nn.Linear(1, 1))
    assert str(error.value) == "Linear: expected a model built by build_model, which sets its 'inputs'"


def test_the_example_adapts_in_the_packed_path(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model = build("custom_model:TwoTower", user=["user"], item=["movie"], width=8)
    assert all(isinstance(m, AdaptiveLayer) for m in model.modules() if list(m.parameters(recurse=False)))
    build_algorithm(MetaSpec(adapt={"dense": ["user_tower.*", "bias"]}), model, ["movie", "user"])
    assert not caplog.records
