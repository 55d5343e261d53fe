"""What MediaPipe's text tasks can run, known before anything is converted."""

from bertmobile.errors import UsageError
from bertmobile.manifest import TokenizerSpec
from bertmobile_export.plan import Plan

TASKS = ("text-classification", "feature-extraction")
# MediaPipe looks these tokens up by name.
TOKENS = {"cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]"}
LONGEST_WORD = 100


def check_plan(plan: Plan) -> None:
    """Refuse what MediaPipe has no task for.

    Raises:
        UsageError: another task, several lengths, prompts that apply by themselves, a classifier of bare
            outputs, or labels that do not fit on lines.
    """
    if plan.task not in TASKS:
        raise UsageError(
            f"MediaPipe has no task for {plan.task}; --mediapipe is for {' and '.join(TASKS)}, "
            "leave it out or give --task"
        )
    if len(plan.lengths) > 1:
        raise UsageError(
            f"MediaPipe takes one length, not {', '.join(map(str, plan.lengths))}; "
            f"give one, such as --seq-len {plan.lengths[-1]}"
        )
    embedding = plan.config.embedding
    if plan.task == "feature-extraction" and (plan.pooling_mask or embedding.default_text):
        what = "leaves prompts out of its pooling" if plan.pooling_mask else "has a default prompt"
        raise UsageError(
            f"{plan.model} {what}, and MediaPipe knows no prompts: it would embed the bare text; "
            "leave --mediapipe out"
        )
    if plan.function_to_apply == "none":
        cause = plan.config.recorded_activation or plan.problem_type
        raise UsageError(
            f"{plan.model} answers with bare outputs ({cause}), and MediaPipe's classifier shows "
            "probabilities of labels; leave --mediapipe out"
        )
    if plan.task == "text-classification" and any(
        not label or label.splitlines() != [label] for label in plan.config.labels
    ):
        raise UsageError(
            "a label is empty or has a line break, and MediaPipe reads one label a line; "
            "correct id2label in config.json"
        )


def check_tokenizer(tokenizer: TokenizerSpec) -> None:
    """Refuse a vocabulary that MediaPipe would use otherwise than it was trained.

    MediaPipe lower-cases A to Z whatever the model. Accents and Chinese characters need no check: they do
    not occur in ASCII text, the only text that the two tokenizers split alike.

    Raises:
        UsageError: a cased vocabulary, special tokens under names that MediaPipe does not look up, added
            tokens beside them, or another longest word than its own.
    """
    if not tokenizer.lower_case:
        raise UsageError(
            "MediaPipe lower-cases every text, and this vocabulary is cased; "
            "choose an uncased checkpoint, or leave --mediapipe out"
        )
    roles = {token.token for token in tokenizer.special_tokens.values()}
    added = [token.content for token in tokenizer.added_tokens if token.content not in roles]
    if added:
        raise UsageError(
            f"MediaPipe cuts no added tokens from a text, and this tokenizer has {', '.join(added[:3])}; "
            "leave --mediapipe out"
        )
    if tokenizer.longest_word != LONGEST_WORD:
        raise UsageError(
            f"the longest word of MediaPipe is {LONGEST_WORD}, this tokenizer's is {tokenizer.longest_word}; "
            "leave --mediapipe out"
        )
    for role, token in TOKENS.items():
        named = tokenizer.special_tokens[role].token
        if named != token:
            raise UsageError(
                f"MediaPipe looks for {token}, which this vocabulary calls {named}; leave --mediapipe out"
            )
