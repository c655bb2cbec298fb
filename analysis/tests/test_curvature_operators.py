"""Products of sharpseek.curvature's operators against dense matrices that are written down independently."""

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError, reason="PyTorch's Python side is not installed")
pytest.importorskip("sharpseek.curvature", exc_type=ImportError)

from curvature_models import MODELS, make_case, same  # noqa: E402
from sharpseek import curvature  # noqa: E402
from torch import nn  # noqa: E402


@pytest.mark.parametrize("name", MODELS)
def test_matrices_of_five_models_are_the_dense_ones(name: str) -> None:
    case = make_case(name)
    arguments = case.model, case.loader(), case.loss
    assert same(curvature.hessian(*arguments).to_dense(), case.hessian()) < 1e-10
    assert same(curvature.gauss_newton(*arguments).to_dense(), case.gauss_newton()) < 1e-10
    assert same(curvature.fisher(*arguments).to_dense(), case.gauss_newton()) < 1e-10
    assert same(curvature.fisher(*arguments, labels="data").to_dense(), case.second_moment()) < 1e-10
    assert same(curvature.noise_covariance(*arguments).to_dense(), case.covariance()) < 1e-10


def test_loss_and_gradient_weigh_batches_by_their_samples() -> None:
    case = make_case("perceptron")
    op = curvature.hessian(case.model, case.loader(batch=16), case.loss)  # 16 samples and 1
    loss = case.loss(case.model(case.inputs), case.targets)
    assert op.samples == 17
    assert op.loss() == pytest.approx(float(loss.detach()), rel=1e-12)
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(case.model.parameters()))])
    assert same(op.gradient(), gradient) < 1e-12


@pytest.mark.parametrize("make", [curvature.hessian, curvature.noise_covariance])
def test_products_are_the_same_whatever_the_memory(make) -> None:
    case = make_case("convolution")
    torch.manual_seed(1)
    whole = make(case.model, case.loader(3), case.loss)
    v = torch.randn(whole.dim, dtype=torch.float64)
    for memory in (1, "20 kB", "60KiB", 10**9):
        part = make(case.model, case.loader(3), case.loss, memory=memory)
        assert torch.equal(part @ v, whole @ v)
        assert torch.equal(part @ v, whole @ v)
    assert len(make(case.model, case.loader(3), case.loss, memory=1)._graphs) == 0


def test_graphs_are_kept_as_far_as_memory_goes() -> None:
    case = make_case("convolution")
    op = curvature.hessian(case.model, case.loader(3), case.loss, memory="40 kB")
    v = torch.ones(op.dim, dtype=torch.float64)
    op @ v
    assert 0 < len(op._graphs) < 4
    op = curvature.hessian(case.model, case.loader(3), case.loss)
    op @ v
    assert len(op._graphs) == 4


@pytest.mark.parametrize("make", [curvature.hessian, curvature.gauss_newton, curvature.noise_covariance])
def test_new_weights_give_new_products(make) -> None:
    case = make_case("perceptron")
    op = make(case.model, case.loader(), case.loss)
    v = torch.ones(op.dim, dtype=torch.float64)
    before = op @ v
    with torch.no_grad():
        for p in case.model.parameters():
            p.mul_(0.7)
    fresh = make(case.model, case.loader(), case.loss)
    assert torch.equal(op @ v, fresh @ v)
    assert same(op @ v, before) > 1e-3
    case.model[0].weight.data = case.model[0].weight.data.clone() * 2
    assert torch.equal(op @ v, make(case.model, case.loader(), case.loss) @ v)


def test_products_are_checked_once_in_each_state_of_the_model() -> None:
    torch.manual_seed(2)
    layers = nn.Linear(6, 90), nn.BatchNorm1d(90), nn.Dropout(0.5), nn.Linear(90, 1)
    model = nn.Sequential(*layers).double().eval()
    x, y = torch.randn(20, 6).double(), torch.randn(20, 1).double()
    op = curvature.hessian(model, [(x, y)], nn.MSELoss())

    def products() -> int:
        before = op.products
        traced = curvature.trace(op, "hutchinson", products=10)
        fresh = curvature.hessian(model, [(x, y)], nn.MSELoss())
        assert traced.trace.item() == curvature.trace(fresh, "hutchinson", products=10).trace.item()
        return op.products - before

    assert [products(), products()] == [13, 10]
    with torch.no_grad():
        layers[0].weight.mul_(1.5)
    assert [products(), products()] == [13, 10]
    layers[1].running_mean.add_(0.3)
    assert [products(), products()] == [13, 10]
    model.train()
    with pytest.raises(ValueError, match=r"training mode .* call model.eval\(\)"):
        curvature.trace(op, products=10)


def test_some_parameters_give_their_block() -> None:
    case = make_case("encoder")
    whole = curvature.hessian(case.model, case.loader(), case.loss)
    head = curvature.hessian(case.model, case.loader(), case.loss, parameters=["head.*"])
    assert head.blocks == {"head.weight": 12, "head.bias": 3}
    assert same(head.to_dense(), whole.to_dense()[-15:, -15:]) < 1e-12
    with pytest.raises(ValueError, match=r"parameters = 'tail\.\*': fits none of layer"):
        curvature.hessian(case.model, case.loader(), case.loss, parameters="tail.*")


def test_frozen_and_tied_parameters_count_as_the_model_has_them() -> None:
    case = make_case("language_model")
    op = curvature.hessian(case.model, case.loader(), case.loss)
    assert list(op.blocks) == ["embedding.weight", "mix.weight", "mix.bias", "norm.weight"]
    case.model.mix.requires_grad_(False)
    assert list(curvature.hessian(case.model, case.loader(), case.loss).blocks) == ["embedding.weight", "norm.weight"]


def test_losses_may_be_sums_or_those_of_samples() -> None:
    case = make_case("convolution")
    wanted = case.hessian()
    for loss, options in (
        (nn.MSELoss(reduction="sum"), {}),
        (lambda f, y: (f - y).square().sum(), {"reduction": "sum"}),
        (lambda f, y: (f - y).square(), {}),  # [n, outputs], summed over outputs
        (nn.MSELoss(reduction="none"), {}),
    ):
        assert same(curvature.hessian(case.model, case.loader(), loss, **options).to_dense(), 2 * wanted) < 1e-12
        found = curvature.noise_covariance(case.model, case.loader(), loss, **options).to_dense()
        assert same(found, 4 * case.covariance()) < 1e-12


def test_batches_may_be_dicts_or_lists_of_inputs() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 2)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.body(a).tanh() * self.body(b)

    torch.manual_seed(0)
    model, a, b, y = Sum(), torch.randn(6, 3), torch.randn(6, 3), torch.randn(6, 2)
    loss = nn.MSELoss()
    wanted = curvature.hessian(model, [([a, b], y)], loss).to_dense()
    assert torch.equal(curvature.hessian(model, [({"b": b, "a": a}, y)], loss).to_dense(), wanted)
    rows = [{"a": a, "b": b, "labels": y}]
    given = curvature.hessian(model, rows, loss, forward=lambda m, r: (m(r["a"], r["b"]), r["labels"]))
    assert torch.equal(given.to_dense(), wanted)
    with pytest.raises(ValueError, match="give forward=lambda"):
        curvature.hessian(model, rows, loss)


def test_low_precision_weights_have_float32_vectors() -> None:
    case = make_case("perceptron")
    wanted = case.hessian()
    single = curvature.hessian(case.model.float(), [(case.inputs.float(), case.targets)], case.loss)
    assert single.dtype == torch.float32
    assert same(single.to_dense().double(), wanted) < 1e-5
    half = curvature.hessian(case.model.bfloat16(), [(case.inputs.bfloat16(), case.targets)], case.loss)
    assert half.dtype == torch.float32
    assert same(half.to_dense().double(), wanted) < 0.2


def test_a_model_that_is_linear_in_a_weight_has_zeros_there() -> None:
    model = nn.Linear(3, 1).double()
    x, y = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 1, dtype=torch.float64)
    linear = curvature.hessian(model, [(x, y)], lambda f, t: (f * t).mean(dim=1).mean())
    assert torch.count_nonzero(linear.to_dense()) == 0
    assert torch.count_nonzero(curvature.gauss_newton(model, [(x, y)], lambda f, t: (f * t).mean()).to_dense()) == 0


# --- what would give numbers of no matrix


def refused(case, match: str, loader=None, **options) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        curvature.hessian(case.model, case.loader() if loader is None else loader, case.loss, **options)
    assert "\n" not in str(caught.value)


def test_batch_norm_in_training_mode_is_refused() -> None:
    case = make_case("perceptron")
    case.model.train()
    refused(case, r"model\.1 \(BatchNorm1d\) is in training mode .* call model\.eval\(\)")


@pytest.mark.parametrize(
    ("name", "layer"),
    [("convolution", r"model\.4 \(Dropout\)"), ("recurrent", r"model\.cells \(LSTM\)"), ("encoder", "MultiheadAtt")],
)
def test_active_dropout_is_refused(name: str, layer: str) -> None:
    case = make_case(name)
    case.model.train()
    refused(case, rf"{layer}.*drops at random")


def test_randomness_that_no_layer_shows_is_refused() -> None:
    class Noisy(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x + 0.1 * torch.randn_like(x))

    case = make_case("convolution")
    case.model.append(Noisy(2, 2).double())
    refused(case, r"gradient of the first batch differs by .* when it is computed again")


def test_batch_statistics_that_no_layer_shows_are_refused() -> None:
    case = make_case("perceptron")
    case.model[1] = nn.BatchNorm1d(6, track_running_stats=False).double().eval()
    refused(case, "samples mix")


def test_loaders_that_change_are_refused() -> None:
    case = make_case("perceptron")
    data = torch.utils.data.TensorDataset(case.inputs, case.targets)
    shuffled = torch.utils.data.DataLoader(data, batch_size=17, shuffle=True)
    refused(case, "shuffle=False", loader=shuffled)
    refused(case, "gave its batches once", loader=iter(case.loader()))
    refused(case, "gives no batch", loader=[])
    refused(case, "give a DataLoader of it", loader=data)

    class Jittered:
        def __iter__(self):
            return iter([(case.inputs + 0.01 * torch.randn_like(case.inputs), case.targets)])

    refused(case, r"give list\(loader\)", loader=Jittered())
    steady = torch.utils.data.DataLoader(data, batch_size=4)
    assert same(curvature.hessian(case.model, steady, case.loss).to_dense(), case.hessian()) < 1e-10


MAKERS = ("hessian", "gauss_newton", "fisher", "noise_covariance")


@pytest.mark.parametrize("name", MAKERS)
def test_arguments_in_another_order_are_named_with_the_right_one(name: str) -> None:
    case = make_case("encoder")
    parts = {"model": case.model, "loader": torch.utils.data.DataLoader(case.loader()), "loss": nn.CrossEntropyLoss()}
    words = {
        ("model", "loss", "loader"): "loader: is a CrossEntropyLoss, not a DataLoader",
        ("loader", "model", "loss"): "model: is a DataLoader, not a torch.nn.Module",
        ("loader", "loss", "model"): "model: is a DataLoader",
        ("loss", "model", "loader"): "model: is a CrossEntropyLoss, not a torch.nn.Module with parameters",
        ("loss", "loader", "model"): "model: is a CrossEntropyLoss",
    }
    for order, expected in words.items():
        with pytest.raises(ValueError, match=f"^{expected}") as caught:
            getattr(curvature, name)(*(parts[part] for part in order))
        given = ", ".join(type(parts[part]).__name__ for part in order)
        assert str(caught.value).endswith(f"the order is {name}(model, loader, loss_fn), and it was given ({given})")
        assert "\n" not in str(caught.value)


def test_arguments_of_other_kinds_are_named() -> None:
    case = make_case("perceptron")
    batches, loss = case.loader(), case.loss
    one = batches[0]
    short = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*one), batch_size=9, drop_last=True)

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = case.model

    for model, loader, function, words in (
        (case.model.forward, batches, loss, r"model: is the function forward, not a torch\.nn\.Module"),
        (nn.Linear, batches, loss, "model: is the class Linear, not"),
        (case.model.state_dict(), batches, loss, "model: is an OrderedDict with '0.weight', .*, .., not"),
        (nn.ModuleList([case.model]), batches, loss, r"model: is a ModuleList, which has no forward\(\)"),
        (Bare(), batches, loss, r"model: is a Bare, which has no forward\(\); give forward="),
        (case.model, case.inputs, loss, r"loader: is a Tensor of shape \(17, 3\), .*; give \[\(inputs, targets\)\]"),
        (case.model, 8, loss, "loader: is 8, not a DataLoader"),
        (case.model, "data.pt", loss, "loader: is a str, not"),
        (case.model, batches.copy, loss, "loader: is the function copy, not"),
        (case.model, torch.utils.data.DataLoader, loss, "loader: is the class DataLoader, not"),
        (case.model, one, loss, r"a batch is a Tensor of shape \(5, 3\), .*; give \[\(inputs, targets\)\], a list"),
        (case.model, {"train": batches}, loss, r"loader: a batch is a str, not \(inputs, targets\); give forward"),
        (case.model, [case.inputs], loss, r"loader: a batch is a Tensor of shape \(17, 3\), not .*; give forward"),
        (case.model, [(*one, one[1])], loss, r"loader: a batch is a tuple of 3 \(Tensor\), not"),
        (case.model, [{"x": one[0], "y": one[1]}], loss, "loader: a batch is a dict with 'x', 'y', not"),
        (case.model, [one, (one[0],)], loss, r"loader: a batch is a tuple of 1 \(Tensor\), not"),
        (case.model, [(one[0].numpy(), one[1].numpy())], loss, r"tuple of 2 \(ndarray\), holds no torch tensor"),
        (case.model, [], loss, r"loader: gives no batch \(a list of 0\)"),
        (case.model, (batch for batch in ()), loss, r"loader: gives no batch \(a generator\)"),
        (case.model, [(one[0][:0], one[1][:0])], loss, "loader: gives no batch with samples: 1 empty"),
        (case.model, short, loss, "drop_last=True drops what is not a full one of 9 samples"),
        (case.model, batches, nn.CrossEntropyLoss, r"loss_fn: is the class CrossEntropyLoss, .*CrossEntropyLoss\(\);"),
        (case.model, batches, "mse", r"loss_fn: is a str, not a function of \(outputs, targets\)"),
        (case.model, batches, None, "loss_fn: is None, not"),
        (case.model, batches, batches, r"loss_fn: is a list of 4 \(tuple\), not"),
    ):  # fmt: skip
        for name in MAKERS:
            with pytest.raises(ValueError, match=words) as caught:
                getattr(curvature, name)(model, loader, function)
            assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="forward: is a str, not a function"):
        curvature.hessian(case.model, batches, loss, forward="plain")
    given = curvature.hessian(Bare(), batches, loss, forward=lambda m, batch: (m.body(batch[0]), batch[1]))
    assert same(given.to_dense(), case.hessian()) < 1e-10


def test_losses_that_are_no_means_are_refused() -> None:
    case = make_case("perceptron")
    case.loss = lambda f, y: nn.functional.cross_entropy(f, y, reduction="sum")
    refused(case, r"give reduction='sum'")
    case.loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 20.0, 0.1, 3.0]).double())
    refused(case, "no mean over samples")
    case.loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0001, 1.0, 1.0]).double())  # halves differ by less
    assert len(case.targets.unique()) > 1
    refused(case, r"class weights\), so that it is no mean over samples")
    case.loss = nn.CrossEntropyLoss(ignore_index=int(case.targets[0]))
    refused(case, r"ignore_index = \d+\), so that it is no mean over samples")
    case.loss = lambda f, y: f[:2].sum(1)
    refused(case, r"returned shape \(2,\) for 5 samples")
    case.loss = lambda f, y: 1.0
    refused(case, "returned a float")
    case.loss = lambda f, y: torch.zeros(())
    refused(case, "depends on no parameter")


def test_options_have_clear_words() -> None:
    case = make_case("perceptron")
    refused(case, "memory = 'lots': must be a number of bytes", memory="lots")
    refused(case, "reduction = 'product': must be", reduction="product")
    with pytest.raises(ValueError, match="labels = 'true': must be 'model' or 'data'"):
        curvature.fisher(case.model, case.loader(), case.loss, labels="true")
    case.model.requires_grad_(False)
    refused(case, "no parameter requires a gradient")
