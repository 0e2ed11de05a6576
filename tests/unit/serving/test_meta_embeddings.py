"""Meta embeddings against their definition, computed task by task with torch's own functions."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from click.testing import CliRunner
from exported import SHOT, Trained, train, write_rows
from torch.func import functional_call

from gmeta_worker.cli.main import gmeta
from gmeta_worker.meta.forward import model_arguments
from gmeta_worker.metaio import EvaluationReader
from gmeta_worker.serving import write_export

INNER = {"steps": 1, "rate": 0.5, "shrinkage": 2.0, "learned": False}


def made(folder: Path, algorithm: str, model: str) -> Trained:
    changes = {"algorithm": algorithm, "adapt": None, "inner": INNER}
    trained = train(folder, meta=changes, model={"type": model})
    write_export(trained.run, trained.dataset, folder / "export")
    return trained


def one_step(trained: Trained, *layers: str) -> dict[str, tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """By task: the parameters of `layers` after one step, and the support's inputs side by side."""
    parts, found = trained.parts, {}
    parts.model.eval()
    for batch in EvaluationReader(trained.dataset.split("test"), tasks_per_step=1).batches(SHOT):
        inputs = parts.assembler(batch)
        support = inputs.samples.support
        table = parts.store.lookup(inputs.ids)
        names = [name for name, _ in parts.model.named_parameters() if name.startswith(layers)]
        own = {name: parts.model.get_parameter(name).detach().requires_grad_() for name in names}
        arguments = model_arguments(parts.model, table, support)
        logits = functional_call(parts.model, own, arguments)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, support.labels.squeeze(1), reduction="sum")
        size = INNER["rate"] / (SHOT + INNER["shrinkage"])
        gradients = torch.autograd.grad(loss, list(own.values()))
        moved = {name: w.detach() - size * g for (name, w), g in zip(own.items(), gradients, strict=True)}
        flat = torch.cat([arguments[0].numeric, arguments[1].stacked.flatten(1)], 1)
        found[str(batch.task_keys[0])] = (moved, flat)
    return found


def embeddings(trained: Trained, folder: Path) -> dict[str, list[float]]:
    support = write_rows(folder / "support.csv", [row for rows, _ in trained.tasks() for row in rows])
    arguments = ["adapt", str(trained.folder / "export"), "--support", str(support), "--meta-embeddings"]
    done = CliRunner().invoke(gmeta, [*arguments, "--out", str(folder / "embeddings.parquet")])
    assert done.exit_code == 0, done.output
    table = pq.read_table(folder / "embeddings.parquet")
    return dict(zip(table["task"].to_pylist(), table["embedding"].to_pylist(), strict=True))


def test_the_adapted_context_vector(tmp_path: Path) -> None:
    trained = made(tmp_path, "CAVIA", "DeepFM")
    found = embeddings(trained, tmp_path)
    wanted = {
        task: moved["context.bias"] for task, (moved, _) in one_step(trained, "context", "bias", "wide.head").items()
    }
    assert found.keys() == wanted.keys()
    for task, vector in found.items():
        np.testing.assert_allclose(vector, wanted[task].numpy(), rtol=1e-6, atol=1e-6)


def test_the_mean_of_the_adapted_meta_block(tmp_path: Path) -> None:
    trained = made(tmp_path, "LiMAML", "LiMAML")
    found = embeddings(trained, tmp_path)
    assert len(found) == 10
    for task, (moved, inputs) in one_step(trained, "meta_block").items():
        x = torch.cat([inputs, trained.parts.model.get_parameter("context.bias").expand(SHOT, -1)], 1).detach()
        hidden = (x @ moved["meta_block.0.weight"].T + moved["meta_block.0.bias"]).relu()
        outputs = hidden @ moved["meta_block.1.weight"].T + moved["meta_block.1.bias"]
        np.testing.assert_allclose(found[task], outputs.mean(0).numpy(), rtol=1e-5, atol=1e-6)


def test_a_model_without_one_is_refused(tmp_path: Path) -> None:
    trained = made(tmp_path, "ANIL", "DeepFM")
    support = write_rows(tmp_path / "support.csv", [row for rows, _ in trained.tasks() for row in rows])
    arguments = ["adapt", str(tmp_path / "export"), "--support", str(support), "--meta-embeddings", "--out", "x"]
    error = CliRunner().invoke(gmeta, arguments).exception
    assert str(error).endswith(
        "its tasks adapt top.0, top.1, so they have no meta embedding: that is the output of an adapted meta block or "
        "context vector (algorithms LiMAML, CAVIA)"
    )
