"""Networks whose convolutions and products are computed in bfloat16, whatever their architecture.

A network is traced, and the operands of its products are rounded to bfloat16, with one exception:
its last layers, whose results reach the output through no other product. So are the products of
its derivatives, to any order. All else stays in float32: parameters, statistics, activations
between products, and outputs.

A product that states its precision keeps it, for example a norm of a kernel:
`jnp.matmul(x, y, precision=lax.Precision.HIGHEST)`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import (
    ClosedJaxpr,
    Jaxpr,
    JaxprEqn,
    Literal,
    Primitive,
    Var,
    jaxprs_in_params,
)

from gancli.networks.bilinear import BILINEAR

_PRODUCTS = (lax.dot_general_p, lax.conv_general_dilated_p, *BILINEAR)


def in_bfloat16(function: Callable[..., tuple[Any, ...]], output: int) -> Callable[..., Any]:
    """A function with its products in bfloat16, except for the last ones before its output.

    Args:
        function: a function of pytrees of arrays that returns a tuple.
        output: index of the output in the tuple.

    Returns:
        The function, with results of the same types.
    """

    def computed(*args: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        is_output = [
            index == output for index, part in enumerate(shapes) for _ in jax.tree.leaves(part)
        ]
        results = _evaluate(traced, is_output, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return computed


def _evaluate(traced: ClosedJaxpr, is_output: Sequence[bool], args: Sequence[Any]) -> list[Any]:
    """Computes what was traced, with products in bfloat16 except for the last before an output."""
    jaxpr = traced.jaxpr
    reaching = _reaching(jaxpr, is_output)
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*traced.consts, *args], strict=True))

    def value_of(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        given = [value_of(atom) for atom in equation.invars]
        primitive, params = equation.primitive, equation.params
        if primitive in _PRODUCTS:
            if _may_be_rounded(given, params) and equation.outvars[0] not in reaching:
                made = _rounded(primitive, given, params)
            else:
                made = primitive.bind(*given, **params)
        else:
            if _holds_products(equation):
                params = params | {"jaxpr": _inner(equation, reaching)}
            made = primitive.bind(*given, **primitive.get_bind_params(params))
        results = made if primitive.multiple_results else [made]
        values.update(zip(equation.outvars, results, strict=True))
    return [value_of(atom) for atom in jaxpr.outvars]


def _inner(equation: JaxprEqn, reaching: set[Var]) -> ClosedJaxpr:
    """The body of a call or of a loop, changed likewise."""
    body, flags = equation.params["jaxpr"], _results_in(equation, reaching)
    return jax.make_jaxpr(lambda *args: _evaluate(body, flags, args))(*body.in_avals)


def _reaching(jaxpr: Jaxpr, is_output: Sequence[bool]) -> set[Var]:
    """The variables that reach an output through no product."""
    outputs = zip(jaxpr.outvars, is_output, strict=True)
    found = {atom for atom, wanted in outputs if wanted and isinstance(atom, Var)}
    for equation in reversed(jaxpr.eqns):
        flags, given = _results_in(equation, found), equation.invars
        if not any(flags) or equation.primitive in _PRODUCTS:
            continue
        if _holds_products(equation):
            body = equation.params["jaxpr"].jaxpr
            inner = _reaching(body, flags)
            given = [atom for atom, own in zip(given, body.invars, strict=True) if own in inner]
        found.update(atom for atom in given if isinstance(atom, Var))
    return found


def _results_in(equation: JaxprEqn, found: set[Var]) -> list[bool]:
    flags = [result in found for result in equation.outvars]
    # In a loop, any result may depend on what an earlier iteration carried.
    return flags if equation.primitive.name == "jit" else [any(flags)] * len(flags)


def _holds_products(equation: JaxprEqn) -> bool:
    """Whether this is a call or a loop with products in its body.

    Raises:
        TypeError: if it is another equation with products inside.
    """
    bodies = jaxprs_in_params(equation.params)
    held = any(
        inner.primitive in _PRODUCTS or _holds_products(inner)
        for body in bodies
        for inner in body.eqns
    )
    if held and equation.primitive.name not in ("jit", "scan"):
        raise TypeError(f"products in bfloat16 inside {equation.primitive.name}, not jit or scan")
    return held


def _may_be_rounded(given: Sequence[Any], params: dict[str, Any]) -> bool:
    exact = lax.Precision.HIGHEST
    is_exact = params.get("precision") in (exact, (exact, exact))
    return not is_exact and all(value.dtype == jnp.float32 for value in given)


def _rounded(primitive: Primitive, given: Sequence[Any], params: dict[str, Any]) -> jax.Array:
    """A product of operands that are rounded; its derivatives are such products, too."""
    if "preferred_element_type" in params:
        params = params | {"preferred_element_type": jnp.bfloat16}
    made = primitive.bind(*(value.astype(jnp.bfloat16) for value in given), **params)
    return made.astype(jnp.float32)
