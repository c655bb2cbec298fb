"""The samples that a loss is a mean over: a loader that gives the same batches each time."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from sharpseek.curvature.arguments import named, require_pair

Forward = Callable[[Any, Any], tuple[Any, Any]]
"""(model, batch) -> (outputs, targets)."""


def default_forward(model: Any, batch: Any) -> tuple[Any, Any]:
    """A batch (inputs, targets): one tensor, a sequence or a dict of inputs goes to the model."""
    inputs, targets = batch
    if isinstance(inputs, dict):
        return model(**inputs), targets
    return (model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)), targets


def samples_in(batch: Any) -> int:
    """The length of the first dimension of a batch's first tensor. Raises ValueError."""
    for leaf in tree_leaves(batch):
        if isinstance(leaf, torch.Tensor) and leaf.dim() > 0:
            return leaf.shape[0]
    raise ValueError(
        f"loader: a batch, {named(batch)}, holds no torch tensor with samples along its first dimension; NumPy arrays "
        "become tensors by torch.as_tensor"
    )


def halves(batch: Any) -> tuple[Any, Any] | None:
    """A batch as two, if all that it holds are tensors with as many samples, two at least."""
    leaves = tree_leaves(batch)
    samples = samples_in(batch)
    if samples < 2 or not all(isinstance(x, torch.Tensor) and x.dim() > 0 and len(x) == samples for x in leaves):
        return None
    middle = samples // 2
    return tree_map(lambda x: x[:middle], batch), tree_map(lambda x: x[middle:], batch)


def _fingerprint(batch: Any) -> int:
    total = 0
    for leaf in tree_leaves(batch):
        if isinstance(leaf, torch.Tensor):
            plain = leaf.detach().cpu().contiguous()
            total = zlib.crc32(str((plain.dtype, tuple(plain.shape))).encode(), total)
            total = zlib.crc32(plain.reshape(-1).view(torch.uint8).numpy(), total) if plain.numel() else total
        else:
            total = zlib.crc32(repr(leaf).encode(), total)
    return total


def _empty(loader: Any, batches: int) -> str:
    """What is said of a loader without samples."""
    if batches:
        return f"gives no batch with samples: {batches} empty ones"
    if isinstance(loader, torch.utils.data.DataLoader) and loader.drop_last:
        return f"gives no batch: drop_last=True drops what is not a full one of {loader.batch_size} samples"
    return f"gives no batch ({named(loader)})"


def _bytes(batch: Any) -> int:
    return sum(x.numel() * x.element_size() for x in tree_leaves(batch) if isinstance(x, torch.Tensor))


class Batches:
    """The batches of a loader on one device, checked to be the same when they are asked for again.

    They are held where they take at most `hold` bytes.
    """

    def __init__(self, loader: Iterable[Any], device: torch.device, hold: int, pairs: bool) -> None:
        """Reads the loader twice. `pairs`: batches must be (inputs, targets). Raises ValueError."""
        data = torch.utils.data
        if isinstance(loader, data.Dataset) and not isinstance(loader, data.IterableDataset):
            raise ValueError(
                "loader: is a Dataset, which gives single samples; give a DataLoader of it, with batch_size=None where "
                "its items are batches"
            )
        self._loader = loader
        self._device = device
        self._held: list[Any] | None = None
        prints, counts = [], []
        held: list[Any] = []
        size = 0
        for batch in loader:
            if pairs:
                require_pair(batch, loader)
            prints.append(_fingerprint(batch))
            counts.append(samples_in(batch))
            size += _bytes(batch)
            if size <= hold:
                held.append(self._moved(batch))
        if not sum(counts):
            raise ValueError(f"loader: {_empty(loader, len(counts))}")
        self.counts = counts
        self.samples = sum(counts)
        self._require_same(prints)
        if size <= hold:
            self._held = held

    def _require_same(self, prints: list[int]) -> None:
        again = [_fingerprint(batch) for batch in self._loader]
        if not again:
            raise ValueError(
                "loader: gave its batches once and none after that; give a list or a DataLoader, not an iterator"
            )
        if again == prints:
            return
        shuffled = isinstance(getattr(self._loader, "sampler", None), torch.utils.data.RandomSampler)
        cure = (
            "make the DataLoader with shuffle=False" if shuffled else "give list(loader), whose batches stay the same"
        )
        raise ValueError(f"loader: gives other batches each time, so that no two products are of one matrix; {cure}")

    def _moved(self, batch: Any) -> Any:
        return tree_map(lambda x: x.to(self._device) if isinstance(x, torch.Tensor) else x, batch)

    def first(self) -> Any:
        """The first batch."""
        return next(iter(self))

    def __len__(self) -> int:
        """How many there are."""
        return len(self.counts)

    def __iter__(self) -> Iterator[Any]:
        """On the device."""
        if self._held is not None:
            yield from self._held
            return
        for batch in self._loader:
            yield self._moved(batch)
