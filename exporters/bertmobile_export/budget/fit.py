"""A recipe with a budget becomes one that names a format for each matrix."""

from dataclasses import replace
from typing import TYPE_CHECKING

from bertmobile.errors import UsageError
from bertmobile_export.plan import Plan
from bertmobile_export.recipes import Recipe, WeightFormat, with_modules
from bertmobile_export.sizes import matrices, parameter_bytes
from bertmobile_export.targets import Target

if TYPE_CHECKING:
    from bertmobile_export.budget.solve import Assignment
    from bertmobile_export.budget.survey import Survey

# Predictions are this near to the bytes of a written file, or nearer.
PREDICTED_WITHIN = 0.003


def limit(plan: Plan) -> int | None:
    """The bytes that the model file may have; None where the recipe sets no limit."""
    budget = plan.recipe.budget
    if budget is None or budget.searched:
        return None
    return budget.max_bytes or int((budget.share or 1) * parameter_bytes(plan))


def narrowed(plan: Plan, target: Target) -> Plan:
    """A plan with a budget with every matrix in the smallest format that the target offers."""
    if plan.recipe.budget is None:
        return plan
    modules = {name: target.formats(plan, name, *shape)[0] for name, *shape in matrices(plan)}
    return replace(plan, recipe=replace(plan.recipe, modules=modules))


def check_limit(plan: Plan, target: Target) -> None:
    """Refuse a limit that no formats keep.

    Raises:
        UsageError: names the least that can be kept.
    """
    most = limit(plan)
    if most is None:
        return
    least = round(target.predict_bytes(narrowed(plan, target)) * (1 + PREDICTED_WITHIN))
    if least > most:
        raise UsageError(
            f"{plan.model} cannot be made as small as {most / 1e6:.1f} MB for {target.name}: with every "
            f"matrix in its narrowest format it takes {least / 1e6:.1f} MB; "
            f"give --max-size {_above(least)}MB or more"
        )


def _above(size: int) -> str:
    """Megabytes, rounded up to a tenth."""
    return f"{-(-size // 100_000) / 10:.1f}"


def fit(plan: Plan, survey: "Survey", reserve: float) -> Plan:
    """The plan with the formats that lose least within its limit.

    Args:
        plan: with a budget.
        survey: what each costs and loses.
        reserve: the share of the limit to leave free.
    """
    extra = round((limit(plan) or 0) * (1 - reserve)) - survey.least
    return _with(plan, survey.frontier.within(max(extra, 0)))


def fit_loss(plan: Plan, survey: "Survey", most: float) -> Plan:
    """The plan with the formats of the smallest file whose weights should lose no more than ``most``.

    Where every file loses more, those that lose least.
    """
    return _with(plan, survey.frontier.losing(most))


def _with(plan: Plan, chosen: "Assignment") -> Plan:
    return replace(plan, recipe=resolved(plan.recipe, {name: each.form for name, each in chosen.items()}))


def resolved(recipe: Recipe, forms: dict[str, WeightFormat]) -> Recipe:
    """The recipe without its budget and with a format for each matrix, as ``--recipe FILE`` replays it."""
    document = {key: value for key, value in recipe.document.items() if key != "budget"}
    if recipe.parity:
        document["parity"] = dict(recipe.parity)
    return with_modules(replace(recipe, budget=None, document=document), forms)
