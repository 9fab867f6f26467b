"""Flows as parts of TensorFlow Probability: a joint distribution, a surrogate posterior, Hamiltonian Monte Carlo.

A `Flow` is a `tfd.Distribution` and its bijector a `tfb.Bijector`, so TFP's own tools take them.

    python examples/04_inside_tfp.py        about two minutes on two cores
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp

tfb, tfd = tfp.bijectors, tfp.distributions


def main(steps: int = 2000, out: str | None = None) -> dict[str, float]:
    """Runs the three parts.

    Args:
      steps: training steps of each flow; the chains are half as long.
      out: not used; nothing is written.

    Returns:
      joint_mean, joint_sd: posterior of the joint distribution; exact_mean, exact_sd: the exact one.
      elbo_loss: KL divergence of the surrogate from the funnel, in nats; 0 is perfect.
      plain_sd, flow_sd: standard deviation of the funnel's neck by HMC alone and through the flow; 3 is right.
    """
    return joint_distribution(steps) | funnel(steps)


def joint_distribution(steps: int) -> dict[str, float]:
    """A likelihood learned from simulations alone, with a prior in front of it, answers for an observation.

    The simulator: θ ~ N(0, 1), x = (θ + Gumbel noise, θ² + normal noise), both of scale 0.5.
    """
    simulator = tfd.JointDistributionNamed(
        {
            "theta": tfd.Sample(tfd.Normal(0.0, 1.0), 1),
            "x": lambda theta: tfd.Blockwise([tfd.Gumbel(theta[..., 0], 0.5), tfd.Normal(theta[..., 0] ** 2, 0.5)]),
        }
    )
    draws = simulator.sample(5000, seed=tf.constant([0, 0]))

    # p(x | θ) of the draws: the condition is θ. An epoch is 17 steps.
    model = nvp.fit(draws["x"], draws["theta"], epochs=max(1, steps // 17), seed=0)

    # `given` makes it a plain distribution for every θ. The prior is the simulator's own.
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), 1)
    joint = tfd.JointDistributionNamed({"theta": prior, "x": lambda theta: model.given(theta)})
    theta = np.linspace(-4.0, 4.0, 801, dtype=np.float32)
    grid = {"theta": theta[:, np.newaxis], "x": np.tile(np.float32([1.6, 1.4]), [801, 1])}
    found = {}
    for name, each in {"joint": joint, "exact": simulator}.items():
        # The posterior on a grid, p(θ | x) ∝ p(θ, x).
        posterior = tf.nn.softmax(each.log_prob(grid)).numpy()
        mean = float(np.sum(posterior * theta))
        sd = float(np.sqrt(np.sum(posterior * (theta - mean) ** 2)))
        found |= {f"{name}_mean": mean, f"{name}_sd": sd}
    print("1. JointDistributionNamed with flow.given: the posterior of θ given x = (1.6, 1.4)")
    print(f"   learned likelihood   {found['joint_mean']:.3f} ± {found['joint_sd']:.3f}")
    print(f"   exact likelihood     {found['exact_mean']:.3f} ± {found['exact_sd']:.3f}")
    return found


def funnel(steps: int) -> dict[str, float]:
    """Neal's funnel, v ~ N(0, 3²) and w | v ~ N(0, exp(v)): by variational inference, then by HMC.

    The flow is fitted to the funnel's density, not to draws. HMC alone can't enter the neck,
    where v is low. Through the flow, which bends the funnel almost to a Gaussian, it can, and
    what the fit missed it corrects (Hoffman et al. 2019, "NeuTra-lizing Bad Geometry in
    Hamiltonian Monte Carlo Using Neural Transport", arXiv:1903.03704).
    """
    target = tfd.JointDistributionSequential([tfd.Normal(0.0, 3.0), lambda v: tfd.Normal(0.0, tf.exp(0.5 * v))])

    def log_density(x: tf.Tensor) -> tf.Tensor:
        return target.log_prob([x[..., 0], x[..., 1]])

    surrogate = nvp.RealNVP([2], num_layers=4, hidden_units=[64], activation="tanh", seed=0)
    losses = tfp.vi.fit_surrogate_posterior(
        log_density,
        surrogate,
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps), global_clipnorm=5.0),
        num_steps=steps,
        sample_size=128,
        trainable_variables=surrogate.trainable_variables,
        jit_compile=True,
        seed=tf.constant([0, 1]),
    )
    found = {"elbo_loss": float(tf.reduce_mean(losses[-max(1, steps // 10) :]))}
    print("2. fit_surrogate_posterior with a flow: Neal's funnel")
    print(f"   KL divergence        {found['elbo_loss']:.3f} nats")

    print("3. HamiltonianMonteCarlo through the flow: the standard deviation of v, where 3 is right")
    for name, bijector in {"plain": tfb.Identity(), "flow": surrogate.bijector}.items():
        v = hamiltonian(log_density, bijector, steps // 2)[..., 0]
        found[f"{name}_sd"] = float(v.std())
        print(f"   {name:<20} {found[f'{name}_sd']:.3f}, lowest v {v.min():.1f}")
    return found


def hamiltonian(log_density: object, bijector: tfb.Bijector, length: int) -> np.ndarray:
    """States [length, chains, 2] in the target's space, of chains that move in the bijector's latent space."""
    inner = tfp.mcmc.HamiltonianMonteCarlo(log_density, step_size=0.5, num_leapfrog_steps=5)
    adaptive = tfp.mcmc.DualAveragingStepSizeAdaptation(
        tfp.mcmc.TransformedTransitionKernel(inner, bijector), num_adaptation_steps=int(0.8 * length)
    )
    start = bijector.forward(tf.random.stateless_normal([50, 2], seed=[0, 2]))

    @tf.function(jit_compile=True)
    def run() -> tf.Tensor:
        return tfp.mcmc.sample_chain(
            length, start, kernel=adaptive, num_burnin_steps=length, trace_fn=None, seed=tf.constant([0, 3])
        )

    return run().numpy()


if __name__ == "__main__":
    main()
