"""Keys: a function of seed, stream, step and update, of which none is used for two things."""

import collections
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_training_loop import POINTS, VARIANTS

from gancli.adversarial.dynamics import Turn
from gancli.adversarial.keys import Stream, key_of
from gancli.config import Layer
from gancli.training.planning import plan

ROOT = jax.random.key(7)

# What jax.random makes numbers of.
DRAWS = (
    *("bernoulli", "bits", "categorical", "choice", "gumbel", "normal", "permutation"),
    *("randint", "truncated_normal", "uniform"),
)


def words(key):
    return np.asarray(jax.random.key_data(key)).tobytes()


def test_a_key_folds_stream_step_update_and_part_in():
    """Update and part as one number: two parts an update."""
    expected = ROOT
    for number in (2**31 + 1, 3, 2 * 2 + 1):
        expected = jax.random.fold_in(expected, number)
    turn = Turn({}, ROOT, jnp.int32(3), 2, part=1)
    assert words(turn.key(Stream.LATENT)) == words(expected)


def test_no_two_places_share_a_key():
    """Of any stream, step, update and part; nor with the key of an example's latent."""
    turns = [
        Turn({}, ROOT, jnp.int32(step), update, part).key(stream)
        for step, update, part, stream in itertools.product((0, 1), (0, 1), (0, 1), Stream)
    ]
    others = [key_of(ROOT, stream) for stream in Stream]
    latents = [jax.random.fold_in(ROOT, index) for index in range(len(Stream))]
    every = [words(key) for key in (*turns, *others, *latents)]
    assert len(set(every)) == len(every) == 11 * (8 + 1 + 1)


# Other dynamics evaluate the game more than once in a turn, on purpose alike. Of tokens, every
# sequence that a turn rewards is shown with the same noise.
ALTERNATING = [
    name
    for name, values in VARIANTS.items()
    if "train.dynamics" not in values and "tokens" not in name
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALTERNATING)
def test_no_key_is_used_for_two_things(name, monkeypatch):
    """Each is drawn from once, or split once, or only folded into: in the start, and in a step."""
    program = plan([Layer("test", {**POINTS, **VARIANTS[name], "train.batch": 12})]).program
    uses = collections.defaultdict(collections.Counter)
    derived, held = {}, []  # Of traced keys, which are kept so that no two have the same identity.

    def recording(kind, function):
        def record(key, *arguments, **named):
            name = derived.get(id(key), id(key))
            uses[name][kind] += 1
            made = function(key, *arguments, **named)
            held.extend((key, made, arguments))
            if kind == "fold":
                (number,) = arguments
                number = number if isinstance(number, int) else id(number)
                derived[id(made)] = (name, number)
            return made

        return record

    for kind, names in (("draw", DRAWS), ("split", ("split",)), ("fold", ("fold_in",))):
        for one in names:
            monkeypatch.setattr(jax.random, one, recording(kind, getattr(jax.random, one)))

    def start(key):  # Traced anew, whatever was traced before.
        return program.start.__wrapped__(key)

    jax.eval_shape(start, ROOT)
    state = jax.eval_shape(program.start, ROOT)
    drawn = [next(program.source.arguments(0)) for _ in program.moves]
    for move, argument in zip(program.moves, drawn, strict=True):

        def play(players, resident, argument, key, step, move=move):
            batch = program.source.materialize(resident, argument)
            return move.play(players, Turn(batch, key, step))

        step = jnp.int32(0)
        jax.eval_shape(play, state.players, program.source.resident, argument, ROOT, step)
    assert any(counts["split"] for counts in uses.values())  # Or nothing was traced.
    for counts in uses.values():
        assert counts["draw"] + counts["split"] <= 1, counts
        assert not (counts["fold"] and (counts["draw"] or counts["split"])), counts
