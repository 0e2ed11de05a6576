"""The dense optimiser: torch's own step on given gradients, clipped, and state that survives a round trip."""

import pytest
import torch
from torch import nn

from gmeta_api.errors import CheckpointError
from gmeta_api.spec import DenseOptimizerSpec
from gmeta_worker.training.dense_optimizer import DenseOptimizer

TYPES = ["Adam", "AdamW", "Adagrad", "SGD"]


def small_model(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 2)


def gradients(model: nn.Module, step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {name: torch.randn(p.shape, generator=generator) for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", TYPES)
def test_steps_are_those_of_torch(name: str) -> None:
    model, reference = small_model(), small_model()
    spec = DenseOptimizerSpec(type=name, rate=0.1, weight_decay=0.01)
    ours = DenseOptimizer(spec, model)
    theirs = getattr(torch.optim, name)(reference.parameters(), lr=0.1, weight_decay=0.01)
    for step in range(3):
        ours.step(gradients(model, step), rate=0.1)
        for key, parameter in reference.named_parameters():
            parameter.grad = gradients(reference, step)[key]
        theirs.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), reference.parameters(), strict=True))


def test_the_rate_is_that_of_the_step_and_the_global_norm_is_clipped() -> None:
    model = small_model()
    before = [p.detach().clone() for p in model.parameters()]
    given = gradients(model, 0)
    norm = torch.cat([g.flatten() for g in given.values()]).norm()
    DenseOptimizer(DenseOptimizerSpec(type="SGD", rate=9.0, clip_norm=0.5), model).step(given, rate=2.0)
    for old, new, gradient in zip(before, model.parameters(), gradients(model, 0).values(), strict=True):
        assert torch.allclose(new, old - 2.0 * gradient * 0.5 / norm, atol=1e-5)


@pytest.mark.parametrize("name", TYPES)
def test_a_restored_optimiser_goes_on_as_if_never_stopped(name: str) -> None:
    spec = DenseOptimizerSpec(type=name, rate=0.1)
    unbroken = small_model()
    optimizer = DenseOptimizer(spec, unbroken)
    for step in range(2):
        optimizer.step(gradients(unbroken, step), 0.1)
    resumed = small_model()
    resumed.load_state_dict(unbroken.state_dict())
    other = DenseOptimizer(spec, resumed)
    other.restore(optimizer.export())
    for each, model in ((optimizer, unbroken), (other, resumed)):
        each.step(gradients(model, 2), 0.1)
    assert all(torch.equal(a, b) for a, b in zip(unbroken.parameters(), resumed.parameters(), strict=True))


def test_state_of_another_model_is_refused() -> None:
    optimizer = DenseOptimizer(DenseOptimizerSpec(), small_model())
    with pytest.raises(CheckpointError) as unknown:
        optimizer.restore({"top.weight/exp_avg": torch.zeros(2, 3)})
    assert str(unknown.value) == (
        "optimiser state top.weight/exp_avg: this model has no such parameter, the commit has shape [2, 3]; "
        "resume with the manifest that wrote the commit"
    )
    with pytest.raises(CheckpointError) as shape:
        optimizer.restore({"weight/exp_avg": torch.zeros(5, 3)})
    assert str(shape.value) == (
        "optimiser state weight/exp_avg: this model has shape [2, 3], the commit has shape [5, 3]; "
        "resume with the manifest that wrote the commit"
    )


@pytest.mark.parametrize(
    ("writer", "reader", "message"),
    [
        ("Adam", "Adagrad", "Adagrad has step, sum, the commit has exp_avg, exp_avg_sq, step"),
        ("SGD", "Adam", "Adam has exp_avg, exp_avg_sq, step, the commit has none"),
        ("Adagrad", "SGD", "SGD has none, the commit has step, sum"),
    ],
)
def test_state_of_another_type_is_refused(writer: str, reader: str, message: str) -> None:
    model = small_model()
    trained = DenseOptimizer(DenseOptimizerSpec(type=writer), model)
    trained.step(gradients(model, 0), 0.1)
    optimizer = DenseOptimizer(DenseOptimizerSpec(type=reader), model)
    before = optimizer.export()
    with pytest.raises(CheckpointError) as error:
        optimizer.restore(trained.export())
    assert str(error.value) == (
        f"optimiser state of weight: {message}; use the spec.optimizer.dense.type that wrote the commit"
    )
    after = optimizer.export()
    assert after.keys() == before.keys()


def test_frozen_parameters_are_left_alone() -> None:
    model = small_model()
    model.bias.requires_grad_(False)
    bias = model.bias.clone()
    DenseOptimizer(DenseOptimizerSpec(), model).step({"weight": torch.ones(2, 3)}, 0.1)
    assert torch.equal(model.bias, bias)
