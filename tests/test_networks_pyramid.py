import pytest

from gancli.networks.pyramid import channels_by_side, halved


@pytest.mark.parametrize(
    ("image", "smallest", "halvings"),
    [
        ((8, 8), (2, 2), 2),
        ((16, 16), (4, 4), 2),
        ((28, 28), (7, 7), 2),
        *(((4 * 2**n, 4 * 2**n), (4, 4), n) for n in range(3, 9)),  # 32 to 1024
        ((48, 48), (6, 6), 3),
        ((96, 96), (6, 6), 4),
        ((64, 96), (4, 6), 4),
        ((96, 64), (6, 4), 4),
        ((30, 50), (15, 25), 1),
        ((8, 64), (4, 32), 1),
    ],
)
def test_both_sides_are_halved_while_both_can_be(image, smallest, halvings):
    assert halved(*image) == smallest
    doubled = [5 * 2**level for level in (0, 1, 2, 3, 3, 3, 3, 3, 3)]
    assert channels_by_side((*image, 1), 5) == doubled[: halvings + 1]


@pytest.mark.parametrize("image", [(4, 4), (6, 64), (45, 45), (30, 31), (31, 30), (1, 1)])
def test_others_are_left_as_they_are(image):
    assert halved(*image) == image
