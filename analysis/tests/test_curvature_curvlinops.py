"""Matrices of sharpseek.curvature against those of curvlinops, which differentiates by other routes."""

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError, reason="PyTorch's Python side is not installed")
pytest.importorskip("sharpseek.curvature", exc_type=ImportError)
curvlinops = pytest.importorskip("curvlinops", reason="curvlinops is not installed")

from curvature_models import MODELS, Case, make_case, same  # noqa: E402
from sharpseek import curvature  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402


class TokenLoss(nn.CrossEntropyLoss):
    """Of all tokens; curvlinops asks a loss for its reduction."""

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Their mean."""
        return super().forward(outputs.flatten(0, 1), targets.flatten())


@pytest.fixture(autouse=True)
def differentiable() -> Iterator[None]:
    """Fused attention has no derivatives of the kinds that curvlinops takes."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with sdpa_kernel(SDPBackend.MATH):
        yield
    torch.backends.mha.set_fastpath_enabled(before)


def both(case: Case, ours, theirs) -> tuple[torch.Tensor, torch.Tensor]:
    loss = TokenLoss() if case.targets.dim() == 2 and not case.targets.is_floating_point() else case.loss
    op = theirs(case.model, loss, list(case.model.parameters()), case.loader(), check_deterministic=False)
    dense = op @ torch.eye(op.shape[1], dtype=torch.float64)
    return ours(case.model, case.loader(), case.loss).to_dense(), dense


@pytest.mark.parametrize("name", MODELS)
def test_gauss_newton_matrices_are_those_of_curvlinops(name: str) -> None:
    assert same(*both(make_case(name), curvature.gauss_newton, curvlinops.GGNLinearOperator)) < 1e-10


@pytest.mark.parametrize("name", MODELS)
def test_hessians_are_those_of_curvlinops(name: str) -> None:
    case = make_case(name)
    ours, theirs = both(case, curvature.hessian, curvlinops.HessianLinearOperator)
    kept = torch.ones(len(ours), dtype=torch.bool)
    if name == "encoder":
        # curvlinops 3.0.1 is wrong by up to 14 % where PyTorch differentiates a layer norm forwards, by its weight.
        parts = [torch.full((p.numel(),), "norm" not in n) for n, p in case.model.named_parameters()]
        kept = torch.cat(parts)
    assert same(ours[kept], theirs[kept]) < 1e-10
    assert same(ours, case.hessian()) < 1e-10
