"""What calibration texts say about a linear layer's inputs is the same however they are cut into batches."""

import torch

from bertmobile_export.quantization.moments import moments_of


def test_moments_read_batch_by_batch_are_those_of_all_tokens_about_their_mean() -> None:
    random = torch.Generator().manual_seed(0)
    # Far from zero, as one channel of real networks is: sums about zero would lose what varies.
    goal = torch.randn(600, 8, generator=random) + torch.tensor([300.0] + [0.0] * 7)
    read = goal + 0.1 * torch.randn(600, 8, generator=random) + 0.2
    weights = torch.rand(600, generator=random)
    cuts = [100, 7, 493]

    pairs = zip(torch.split(goal, cuts), torch.split(read, cuts), strict=True)
    moments = moments_of(pairs, torch.split(weights, cuts))

    exact, now, each = goal.double(), read.double(), weights.double()
    found, wanted = (each @ rows / each.sum() for rows in (now, exact))
    centred = (now - found) * each.unsqueeze(1)
    for measured, expected in [
        (moments.found, found),
        (moments.wanted, wanted),
        (moments.squares, centred.T @ (now - found)),
        (moments.drift, centred.T @ (exact - now)),
    ]:
        torch.testing.assert_close(measured.double(), expected, rtol=1e-4, atol=1e-2)


def test_tokens_count_alike_where_no_weights_are_given() -> None:
    rows = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    moments = moments_of([(rows, rows)])
    torch.testing.assert_close(moments.squares, (rows - rows.mean(0)).T @ (rows - rows.mean(0)))
    torch.testing.assert_close(moments.drift, torch.zeros(3, 3), atol=1e-5, rtol=0)
