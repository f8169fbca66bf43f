"""funcnn: functional neural networks for JAX, with a reverse mode of its own.

>>> import jax.numpy as jnp
>>> import funcnn
>>> funcnn.grad(lambda x: jnp.sum(x**2))(jnp.array([1.0, 2.0])).tolist()
[2.0, 4.0]
"""

from funcnn.autodiff import grad, hessian, hvp, jacrev, value_and_grad, vjp

__version__ = "0.1.0"
__all__ = ["grad", "hessian", "hvp", "jacrev", "value_and_grad", "vjp"]
