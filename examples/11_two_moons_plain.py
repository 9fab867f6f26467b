"""RealNVP piece by piece, as the papers write it: couplings, masks, networks, and a plain full-batch training.

Six affine couplings keep one coordinate and transform the other in turn,

    x_rest = z_rest · exp(s(x_kept)) + t(x_kept),    s = tanh(…),

with a network for t and another one for s. `nvp.RealNVP([2], num_layers=6, separate_networks=True)` is the recipe of
the same, with an ActNorm before each coupling; `nvp.fit`, as in 01_two_moons.py, fits better and needs no choices.

    python examples/11_two_moons_plain.py        two minutes on two cores; the picture is in runs/two_moons_plain
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import make_moons

import tfp_nvp as nvp
from tfp_nvp.bijectors import Chain, Coupling
from tfp_nvp.conditioners import MLP, Separate
from tfp_nvp.distributions import StandardNormal
from tfp_nvp.transformers import Affine

RANGES = (-1.6, 2.6), (-1.1, 1.6)  # of the picture


def main(steps: int = 1500, out: str | None = None) -> dict[str, float]:
    """Trains, evaluates, draws.

    Args:
      steps: of Adam, each with all points.
      out: folder for the picture, two_moons_plain.png; None for none.

    Returns:
      first_nll, nll: mean −log p of new points before and after training, in nats.
      bits_per_dim: the latter in bits per coordinate.
      reconstruction_error: the largest |x − g(g⁻¹(x))| of new points.
    """
    x, _ = make_moons(2_000, noise=0.05, random_state=0)
    x_test, _ = make_moons(2_000, noise=0.05, random_state=1)

    # 1. The flow: x = g₁(g₂(… g₆(z))), z standard normal. 1 marks what a coupling keeps.
    couplings = []
    for i in range(6):
        translation = MLP(hidden_units=[128, 128], seed=2 * i)
        scale = MLP(hidden_units=[128, 128], seed=2 * i + 1)
        mask = [1, 0] if i % 2 == 0 else [0, 1]
        couplings.append(Coupling(Affine(bound=1.0), Separate([translation, scale]), mask, name=f"coupling_{i}"))
    flow = nvp.Flow(StandardNormal([2]), Chain(couplings))

    # 2. Training: the loss is the mean of −log p(x). One batch of all points is one step.
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.Adam(1e-3))
    first_nll = -float(np.mean(model.log_prob(x_test)))
    model.fit(x, batch_size=len(x), epochs=steps, verbose=0)

    # 3. One pass gives the latents, the log-det and the log-density; `decode` goes back.
    outputs = model.outputs(x_test)
    back, _ = model.decode(outputs["z"])
    found = {
        "first_nll": first_nll,
        "nll": -float(np.mean(outputs["log_prob"])),
        "bits_per_dim": float(np.mean(model.bits_per_dim(x_test))),
        "reconstruction_error": float(np.max(np.abs(back - x_test))),
    }
    print(f"NLL at first           {found['first_nll']:.4f} nats on {len(x_test):,} new points")
    print(f"NLL                    {found['nll']:.4f} nats, {found['bits_per_dim']:.4f} bits per coordinate")
    print(f"reconstruction error   {found['reconstruction_error']:.1e} at most")

    # 4. The density, and the data on it.
    if out is not None:
        path = Path(out) / "two_moons_plain.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        nvp.evaluation.plot_density_2d(model, RANGES, x_test, path)
        print(f"picture                {path}")
    return found


if __name__ == "__main__":
    main(out="runs/two_moons_plain")
