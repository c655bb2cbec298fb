"""The figures and theorems of arXiv:2602.05065: what they say in our words, which experiments and claims are theirs,
what the paper gives of their settings and what was chosen here. The report and docs/paper.md are written from this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sharpseek.files import Experiment
from sharpseek.verdicts import Verdict


@dataclass(frozen=True)
class PaperFigure:
    """One figure or theorem of the paper."""

    name: str
    """"Figure 1", "Corollary 4"."""
    says: str
    """Its statement in our words."""
    experiments: tuple[str, ...]
    """Beginnings of the names of the experiments of the preset `paper` that redraw it."""
    claims: tuple[str, ...]
    given: str
    """What the paper says of its setting, learning rates in its units."""
    chosen: str
    """What it does not say, or what differs here, and what was chosen."""


PAPER: tuple[PaperFigure, ...] = (
    PaperFigure(
        "Theorem 1",
        "Where the learning rate goes to 0, the minima of the entropic loss all have one Hessian spectrum, "
        "whose trace has a closed form; isotropic noise, and only that, gives the flattest minimum (Corollary"
        " 2); where everything commutes the largest eigenvalue has a closed form too (equation 72).",
        ("theorem-1",),
        ("P1", "P2", "P5"),
        "D matrices, label noise independent of the inputs.",
        "Depths 2, 3 and 5; singular values 1.5, 1, 0.7, or V = I; batch 1; two rates and a straight line to "
        "rate 0. The experiment theorem-1-generic has a teacher that does not commute with the noise: there "
        "the limit of small rates differs from Theorem 1, and both are drawn (claims C1 and C8 are about that"
        " limit).",
    ),
    PaperFigure(
        "Figure 1",
        "Runs from initial weights of several scales all end at Theorem 1's T.",
        ("figure-1",),
        ("P3", "P1"),
        "D = 3, d = 2, V = I, Sigma_x = I, lr .001.",
        "Hidden width and initial scale of its linear networks are not given: width 2, variance 1 / fan-in. "
        "Scales 0.7, 1, 1.4; kappa 10; batch 1; largest variance 10, so that the end is reached in 12 million"
        " steps.",
    ),
    PaperFigure(
        "Figures 2 and 5, left",
        "Under anisotropic noise T and lambda_max rise far above the flattest minimum, under isotropic noise "
        "T stays at it.",
        ("figure-2-linear",),
        ("P8",),
        "As figure 1, lr .01, batch 10, fresh samples, 100,000 steps; deviations 10, .1 against 10, 10; "
        "Hessian on 200 samples; five trials.",
        "Hidden width and initial scale of its linear networks are not given: width 2, variance 1 / fan-in. "
        "The evaluation set of 200 inputs is whitened, so that the Hessian is that of the distribution. At "
        "kappa 10,000 the run is far from its end after 100,000 steps: Theorem 1's line says where it goes.",
    ),
    PaperFigure(
        "Figures 2 and 5, middle",
        "A ReLU network of four hidden units that learns from one of a hundred sharpens under anisotropic noise.",
        ("figure-2-relu",),
        (),
        "Two layers, d_x = d_y = 2, Kaiming start, fresh samples, lr .1, batch 100, 100,000 steps; deviations"
        " 3, .03 against 3, 3; Hutchinson trace on 200 samples.",
        "The teacher's weights: ReLU, drawn as the student's. Trace exact. Seeds end in different minima, so "
        "that there are more than five. At this horizon the anisotropic run is still on its way: P9 is asked of "
        "figure-3-relu, the same run sixteen times as long.",
    ),
    PaperFigure(
        "Figures 2 and 5, right",
        "So does a classifier of digits under cross-entropy with noisy soft labels.",
        ("figure-2-digits",),
        (),
        "MNIST, 784-128-10 ReLU, labels softmax(one-hot + Gaussian), deviations 10 (five classes) and 1 "
        "(five) against 10; lr .01, batch 128, 10,000 steps; Hessian on 1024 test images.",
        "The UCI optical digits (1500 images of 8 x 8 to train on, the Hessian on the 297 others), hidden width 32, by "
        "default; MNIST with data.dataset = idx:DIR. At this horizon neither run has arrived: P10 is asked of "
        "figure-3-digits.",
    ),
    PaperFigure(
        "Figure 3",
        "T relative to that under isotropic noise rises with the condition number, in every architecture, "
        "under squared error and cross-entropy; the plateau at large kappa is ascribed to the finite horizon.",
        ("figure-3",),
        ("P9", "P10", "P12"),
        "Linear, MLP, recurrent (student 4, teacher 100, lr .03, batch 300) and transformer students.",
        "Teachers and horizons of each curve are not given. The linear and the ReLU network run 16 times the 100,000 "
        "steps of figure 2, the linear one with noise on the output axes and on those of the teacher's output. The "
        "recurrent network learns from one of 20 over three tokens, read out at the last, at batch 10: its 10,000 "
        "steps of batch 300 end at rescaled time .0075, before the noise has moved anything. Under cross-entropy the "
        "ReLU network has four classes, because of two only the difference of the logits counts, which has no "
        "condition number; rate .5, batch 10. The digits: rate .1, batch 8, and deviations of 3 and .3, because "
        "where all are 10 the network ends next to a constant and T falls on and on. The transformer is that of "
        "figure 8 at lr .01, batch 30 and seven times its rescaled time. Under cross-entropy larger noise also "
        "makes the mean labels more uniform, which flattens by itself: relative sharpness there is not the noise's "
        "shape alone.",
    ),
    PaperFigure(
        "Figure 4",
        "Sharpening stops when the run is switched to full-batch gradient descent.",
        ("figure-4",),
        ("P6",),
        "Linear network, anisotropic noise; descent with batch 1000.",
        "Forks of one run at lr .0004, batch 1: on with SGD, to descent, to isotropic noise and back. Descent "
        "takes 1000 fixed samples at every step, 50,000 steps. Every fork is compared with the slow flow from "
        "its own first weights.",
    ),
    PaperFigure(
        "Figure 6",
        "Anisotropic noise makes the first and the last layer ill-conditioned, the one between not.",
        ("figure-2-linear",),
        ("P8",),
        "As figure 2, left.",
        "Hidden width and initial scale of its linear networks are not given: width 2, variance 1 / fan-in.",
    ),
    PaperFigure(
        "Figure 7",
        "T and lambda_max grow with kappa in the same way at every depth; T / D nearly coincides (Corollary 1).",
        ("figure-7",),
        ("P4",),
        "Linear networks of several depths.",
        "Depths 2, 3, 5; V = I; kappa 1, 100, 1000; batch 1; largest variance 3; two rates, so that slopes can be "
        "taken at rate 0; 180 units of rescaled time.",
    ),
    PaperFigure(
        "Figure 8",
        "A transformer that learns from a larger one sharpens under anisotropic noise.",
        ("figure-8",),
        (),
        "Two heads, MLP with residual connections, input and output 8, length 4; MLP hidden 100 in the "
        "teacher, 4 in the student; Kaiming, fresh samples, lr .03, batch 300, 10,000 steps; deviations 4 "
        "(one) and .04 (seven) against 4.",
        "Where the output is read is not given: the mean over tokens, and as a check every token (figure-8-tokens, "
        "2,000 steps). At these horizons T still rises: P9 is asked of figure-3-transformer.",
    ),
    PaperFigure(
        "Proposition 1",
        "The mean T of the initial weights does not depend on the labels, so that smaller labels flatten and "
        "larger ones sharpen.",
        ("labels",),
        ("P7",),
        "Weights of one variance.",
        "D = 2, d = 4; the signal is scaled, the noise is not (Theorem 1 does not depend on its size).",
    ),
    PaperFigure(
        "Corollary 4",
        "If the noise's variances, the inputs' and the teacher's singular values fall as powers of their "
        "rank, T grows as a power of the dimension, and only the noise's exponent raises it above the "
        "flattest minimum's.",
        ("power-",),
        ("P11",),
        "Everything diagonal.",
        "D = 2; d = 4, 8, 16, 32; noise i^-a with a = 0, 1, and 2 for d = 4, 8.",
    ),
)


def figures_of(experiment: str) -> list[PaperFigure]:
    """The figures that an experiment redraws, by its name."""
    return [figure for figure in PAPER if experiment.startswith(figure.experiments)]


@dataclass(frozen=True)
class Row:
    """A figure and the verdicts of the experiments that redraw it: claim, experiment, outcome."""

    figure: PaperFigure
    said: tuple[tuple[str, str, str], ...]


def paper_table(experiments: Iterable[Experiment], verdicts: Iterable[Verdict]) -> list[Row]:
    """The figures that these experiments redraw; empty where none speaks to a claim of the paper."""
    names = [e.name for e in experiments]
    said = [(v.claim, v.subject, v.outcome) for v in verdicts if v.claim.startswith("P")]
    return table_of(names, said) if said else []


def table_of(experiments: Iterable[str], said: Iterable[tuple[str, str, str]]) -> list[Row]:
    """The figures that experiments of these names redraw; `said`: (claim, experiment, outcome)."""
    names, pieces = list(experiments), list(said)
    return [
        Row(figure, tuple(p for p in pieces if p[0] in figure.claims and p[1].startswith(figure.experiments)))
        for figure in PAPER
        if any(name.startswith(figure.experiments) for name in names)
    ]
